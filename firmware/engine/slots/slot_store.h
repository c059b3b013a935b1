/* Models in flash, apart from the firmware; a power cut at any byte leaves the old model or the new one.
 *
 * There is a place more than there are slots. A model is written into a place that holds no slot's newest, its header
 * last, when the whole of it reads back right: until then the old one counts.
 */
#ifndef VAECTROL_SLOTS_SLOT_STORE_H
#define VAECTROL_SLOTS_SLOT_STORE_H

#include "../port.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_MAGIC 0x444f4d56u /* "VMOD" */
#define MODEL_VERSION 1u
#define MODEL_PLACE_BYTES (PORT_MODEL_SECTORS * PORT_SECTOR_BYTES)
#define MODEL_STORED_BYTES 128u /* before the payload */
#define MODEL_MOST_BYTES (MODEL_PLACE_BYTES - MODEL_STORED_BYTES)

/* How a slot file begins (firmware/slots/file.py). */
typedef struct ModelHead {
    uint32_t magic;
    uint16_t version, head_bytes;
    uint32_t bytes, crc; /* of the payload */
    uint32_t hash;       /* of the model files that it was made of */
    uint8_t signature[PORT_SIGNATURE_BYTES];
    char board[16], name[32], licence[28]; /* padded with zeros, the last byte is one */
} ModelHead;

/* A model that is on its way into the flash. */
typedef struct SlotWrite {
    ModelHead head;
    bool open;
    uint8_t slot, into; /* its number, 1 … PORT_MODEL_SLOTS; its place */
    uint32_t at;        /* bytes of the payload that are written */
} SlotWrite;

/* The newest that the slot holds; false: it is empty. */
bool slot_find(const PortStorage *storage, uint8_t slot, ModelHead *head);
/* The whole payload, and whether it is what was written. */
bool slot_read(const PortStorage *storage, uint8_t slot, ModelHead *head, uint8_t *payload, uint32_t bytes);
bool slot_erase(const PortStorage *storage, uint8_t slot);

bool slot_write_begin(SlotWrite *write, const PortStorage *storage, uint8_t slot, const ModelHead *head);
/* `count` bytes behind those that are written. */
bool slot_write_data(SlotWrite *write, const PortStorage *storage, const uint8_t *data, size_t count);
/* Reads back what was written; true when it is the payload that the head says. */
bool slot_write_check(const SlotWrite *write, const PortStorage *storage, uint8_t *payload);
bool slot_write_end(SlotWrite *write, const PortStorage *storage);

/* Which slot plays after power on, 0: the model that was built in; and which is blended with it. */
uint8_t slot_chosen(const PortStorage *storage, uint8_t *pair);
bool slot_choose(const PortStorage *storage, uint8_t slot, uint8_t pair);

#ifdef __cplusplus
}
#endif
#endif
