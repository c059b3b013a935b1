/* Settings that survive a power cut at any byte: two slots, written in turn, each with magic, version, sequence
 * number and CRC. A slot counts only when all of it is right; the newest of the good ones is the truth.
 */
#ifndef VAECTROL_CONTROL_STORE_H
#define VAECTROL_CONTROL_STORE_H

#include "../port.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STORE_MAGIC 0x54434556u /* "VECT" */
#define STORE_HEADER_BYTES 20u
#define STORE_PAYLOAD_BYTES (PORT_SECTOR_BYTES - STORE_HEADER_BYTES) /* of a slot of one sector */

/* Where something is stored, and as what: kind and version must match what was saved. */
typedef struct StorePlace {
    uint32_t address; /* of the first slot */
    uint32_t sectors; /* of each slot */
    uint16_t kind, version;
} StorePlace;

uint32_t store_crc32(uint32_t crc, const void *data, size_t bytes); /* IEEE 802.3; start with 0 */

/* What was saved by an older program may be shorter: the rest is zero. false: nothing good is there, and `payload` may
 * hold anything. */
bool store_load(const PortStorage *storage, const StorePlace *place, void *payload, size_t bytes);

/* false: the flash refused, or what reads back is not what was written; the older slot is still good. */
bool store_save(const PortStorage *storage, const StorePlace *place, const void *payload, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
