/* Tables that survive a power cut at any byte. */
#include "table_store.h"

#include "../control/store.h"

#define TABLE_MAGIC 0x42415456u /* "VTAB" */
#define TABLE_VERSION 1u
#define CHUNK_BYTES 256u
#define FRAME_BYTES (PORT_TABLE_LATENTS * 2u)

typedef struct TableHeader {
    uint32_t magic;
    uint16_t version, table;
    uint32_t frames;
    uint32_t hash;
    uint32_t sequence;
    uint32_t crc; /* of the header before this field and of the frames */
} TableHeader;
_Static_assert(sizeof(TableHeader) == TABLE_HEADER_BYTES, "the header is stored as it lies in memory");
_Static_assert(TABLE_HEADER_BYTES + PORT_TABLE_FRAMES * FRAME_BYTES <= TABLE_SLOT_BYTES, "a table fits a slot");
_Static_assert(PORT_TABLE_SLOTS == TABLES + 1u, "a slot is always free");

static uint32_t address_of(uint8_t slot) { return PORT_SETTINGS_BYTES + slot * TABLE_SLOT_BYTES; }

static uint32_t header_crc(const TableHeader *header) { return store_crc32(0, header, offsetof(TableHeader, crc)); }

void table_store_init(TableStore *store) {
    *store = (TableStore){0};
    for (size_t t = 0; t < TABLES; ++t) {
        store->slot[t] = PORT_TABLE_SLOTS;
    }
}

/* Reads a slot's header and checks all of the slot. */
static bool slot_good(const PortStorage *storage, uint8_t slot, uint32_t hash, TableHeader *header) {
    const uint32_t address = address_of(slot);
    if (!storage->read(storage->context, address, header, sizeof *header) || header->magic != TABLE_MAGIC ||
        header->version != TABLE_VERSION || header->table >= TABLES || header->hash != hash || header->frames == 0 ||
        header->frames > PORT_TABLE_FRAMES) {
        return false;
    }
    const size_t bytes = header->frames * FRAME_BYTES;
    uint32_t crc = header_crc(header);
    uint8_t chunk[CHUNK_BYTES];
    for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
        const size_t part = bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES;
        if (!storage->read(storage->context, address + TABLE_HEADER_BYTES + (uint32_t)at, chunk, part)) {
            return false;
        }
        crc = store_crc32(crc, chunk, part);
    }
    return crc == header->crc;
}

static void load(TableStore *store, Tables *tables, const TablesSpec *spec, const PortStorage *storage) {
    uint32_t newest[TABLES] = {0};
    for (uint8_t slot = 0; slot < PORT_TABLE_SLOTS; ++slot) {
        TableHeader header;
        if (!slot_good(storage, slot, spec->hash, &header)) {
            continue;
        }
        const uint16_t t = header.table;
        /* The difference of sequence numbers survives their wrapping. */
        if ((int32_t)(header.sequence - store->sequence) > 0) {
            store->sequence = header.sequence;
        }
        if (store->slot[t] < PORT_TABLE_SLOTS && (int32_t)(header.sequence - newest[t]) < 0) {
            continue;
        }
        LatentTable *table = &tables->table[t];
        const size_t bytes = header.frames * FRAME_BYTES;
        if (storage->read(storage->context, address_of(slot) + TABLE_HEADER_BYTES, table->frame, bytes)) {
            newest[t] = header.sequence;
            store->slot[t] = slot;
            table->frames = header.frames;
        }
    }
}

static void begin(TableStore *store, const LatentTable *table, uint8_t which, uint32_t takes, const TablesSpec *spec) {
    uint8_t slot = 0;
    while (slot == store->slot[0] || slot == store->slot[1]) {
        ++slot;
    }
    *store = (TableStore){.loaded = true,
                          .saves = true,
                          .saved = which,
                          .into = slot,
                          .takes = takes,
                          .slot = {store->slot[0], store->slot[1]},
                          .stored = {store->stored[0], store->stored[1]},
                          .frames = __atomic_load_n(&table->frames, __ATOMIC_ACQUIRE),
                          .sequence = store->sequence};
    const TableHeader header = {.magic = TABLE_MAGIC,
                                .version = TABLE_VERSION,
                                .table = which,
                                .frames = store->frames,
                                .hash = spec->hash,
                                .sequence = store->sequence + 1u};
    store->crc = header_crc(&header);
}

/* The frames of one sector; the header's place stays erased. */
static bool write_sector(TableStore *store, const LatentTable *table, const PortStorage *storage) {
    const size_t bytes = store->frames * FRAME_BYTES;
    const size_t begins = store->done * PORT_SECTOR_BYTES;
    const size_t from = begins < TABLE_HEADER_BYTES ? 0 : begins - TABLE_HEADER_BYTES;
    const size_t ends = begins + PORT_SECTOR_BYTES - TABLE_HEADER_BYTES, until = ends < bytes ? ends : bytes;
    const uint8_t *data = (const uint8_t *)table->frame + from;
    const uint32_t at = address_of(store->into);
    store->crc = store_crc32(store->crc, data, until - from);
    ++store->done;
    return storage->erase(storage->context, at + (uint32_t)begins) &&
           storage->program(storage->context, at + TABLE_HEADER_BYTES + (uint32_t)from, data, until - from);
}

static bool write_header(TableStore *store, const TablesSpec *spec, const PortStorage *storage) {
    const TableHeader header = {.magic = TABLE_MAGIC,
                                .version = TABLE_VERSION,
                                .table = store->saved,
                                .frames = store->frames,
                                .hash = spec->hash,
                                .sequence = store->sequence + 1u,
                                .crc = store->crc};
    TableHeader check;
    return storage->program(storage->context, address_of(store->into), &header, sizeof header) &&
           slot_good(storage, store->into, spec->hash, &check) && check.sequence == header.sequence;
}

static const char *go_on(TableStore *store, Tables *tables, const TablesSpec *spec, const PortStorage *storage) {
    const LatentTable *table = &tables->table[store->saved];
    /* Recorded anew meanwhile: what was written is of two takes. */
    if (__atomic_load_n(&table->takes, __ATOMIC_ACQUIRE) != store->takes ||
        __atomic_load_n(&table->frames, __ATOMIC_ACQUIRE) != store->frames) {
        store->saves = false;
        return NULL;
    }
    const size_t bytes = TABLE_HEADER_BYTES + store->frames * FRAME_BYTES;
    if (store->done * PORT_SECTOR_BYTES < bytes) {
        store->saves = write_sector(store, table, storage);
    } else {
        store->saves = false;
        if (write_header(store, spec, storage)) {
            store->slot[store->saved] = store->into;
            store->stored[store->saved] = store->takes;
            ++store->sequence;
            return NULL;
        }
        store->done = 0;
    }
    return store->saves ? NULL : "the table could not be written; the one stored before is still there";
}

const char *table_store_idle(TableStore *store, Tables *tables, const TablesSpec *spec, const PortStorage *storage) {
    if (!store->loaded) {
        store->loaded = true;
        load(store, tables, spec, storage);
        return NULL;
    }
    if (store->saves) {
        return go_on(store, tables, spec, storage);
    }
    for (uint8_t t = 0; t < TABLES; ++t) {
        const LatentTable *table = &tables->table[t];
        const uint32_t takes = __atomic_load_n(&table->takes, __ATOMIC_ACQUIRE);
        if (takes != store->stored[t] && __atomic_load_n(&table->frames, __ATOMIC_ACQUIRE) != 0) {
            begin(store, table, t, takes, spec);
            return NULL;
        }
    }
    return NULL;
}
