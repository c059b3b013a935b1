/* Tables that survive a power cut at any byte.
 *
 * There is a slot more than there are tables. A save goes to the one that holds no newest table, a sector each time it
 * is called, and its header, with magic, sequence number and CRC, is written last: until then the old table counts.
 */
#ifndef VAECTROL_LATENTS_TABLE_STORE_H
#define VAECTROL_LATENTS_TABLE_STORE_H

#include "tables.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TABLE_HEADER_BYTES 24u
#define TABLE_SLOT_BYTES (PORT_TABLE_SECTORS * PORT_SECTOR_BYTES)

typedef struct TableStore {
    bool loaded;
    bool saves;              /* a save is under way */
    uint8_t saved;           /* which table that is */
    uint8_t slot[TABLES];    /* where the newest lies; PORT_TABLE_SLOTS: nowhere */
    uint8_t into;            /* slot of the save */
    uint32_t stored[TABLES]; /* takes that are stored */
    uint32_t takes;          /* of the save */
    uint32_t frames;
    uint32_t done;     /* sectors */
    uint32_t sequence; /* of the last save */
    uint32_t crc;
} TableStore;

void table_store_init(TableStore *store);
/* Loads at the first call, afterwards writes what changed, a sector a call. NULL or one sentence. */
const char *table_store_idle(TableStore *store, Tables *tables, const TablesSpec *spec, const PortStorage *storage);

#ifdef __cplusplus
}
#endif
#endif
