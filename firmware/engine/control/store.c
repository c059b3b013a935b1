/* Settings that survive a power cut at any byte. */
#include "store.h"

#define CHUNK_BYTES 64u

typedef struct Header {
    uint32_t magic;
    uint16_t kind, version;
    uint32_t bytes;
    uint32_t sequence;
    uint32_t crc; /* of the header before this field and of the payload */
} Header;
_Static_assert(sizeof(Header) == STORE_HEADER_BYTES, "the header is stored as it lies in memory");

uint32_t store_crc32(uint32_t crc, const void *data, size_t bytes) {
    static const uint32_t nibble[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    const uint8_t *byte = data;
    crc = ~crc;
    for (size_t i = 0; i < bytes; ++i) {
        crc ^= byte[i];
        crc = nibble[crc & 15u] ^ (crc >> 4);
        crc = nibble[crc & 15u] ^ (crc >> 4);
    }
    return ~crc;
}

static uint32_t header_crc(const Header *header) { return store_crc32(0, header, offsetof(Header, crc)); }

static uint32_t address_of(const StorePlace *place, int slot) {
    return place->address + (uint32_t)slot * place->sectors * PORT_SECTOR_BYTES;
}

/* Reads one slot's header and checks all of the slot. */
static bool slot_good(const PortStorage *storage, const StorePlace *place, int slot, size_t bytes, Header *header) {
    const uint32_t address = address_of(place, slot);
    if (!storage->read(storage->context, address, header, sizeof *header) || header->magic != STORE_MAGIC ||
        header->kind != place->kind || header->version != place->version || header->bytes > bytes) {
        return false;
    }
    uint32_t crc = header_crc(header);
    uint8_t chunk[CHUNK_BYTES];
    for (size_t at = 0; at < header->bytes; at += CHUNK_BYTES) {
        const size_t part = header->bytes - at < CHUNK_BYTES ? header->bytes - at : CHUNK_BYTES;
        if (!storage->read(storage->context, address + STORE_HEADER_BYTES + (uint32_t)at, chunk, part)) {
            return false;
        }
        crc = store_crc32(crc, chunk, part);
    }
    return crc == header->crc;
}

/* 0 or 1: the slot that holds the truth; -1: none. */
static int newest(const PortStorage *storage, const StorePlace *place, size_t bytes, Header *header) {
    Header other;
    const bool first = slot_good(storage, place, 0, bytes, header);
    const bool second = slot_good(storage, place, 1, bytes, &other);
    /* The difference of sequence numbers survives their wrapping. */
    if (second && (!first || (int32_t)(other.sequence - header->sequence) > 0)) {
        *header = other;
        return 1;
    }
    return first ? 0 : -1;
}

bool store_load(const PortStorage *storage, const StorePlace *place, void *payload, size_t bytes) {
    Header header;
    const int slot = newest(storage, place, bytes, &header);
    if (slot < 0) {
        return false;
    }
    __builtin_memset((uint8_t *)payload + header.bytes, 0, bytes - header.bytes);
    return storage->read(storage->context, address_of(place, slot) + STORE_HEADER_BYTES, payload, header.bytes) &&
           store_crc32(header_crc(&header), payload, header.bytes) == header.crc;
}

/* As many sectors as are needed, in order. */
static bool erase(const PortStorage *storage, uint32_t address, size_t bytes) {
    for (uint32_t at = 0; at < bytes; at += PORT_SECTOR_BYTES) {
        if (!storage->erase(storage->context, address + at)) {
            return false;
        }
    }
    return true;
}

bool store_save(const PortStorage *storage, const StorePlace *place, const void *payload, size_t bytes) {
    Header header;
    if (bytes > place->sectors * PORT_SECTOR_BYTES - STORE_HEADER_BYTES) {
        return false;
    }
    const int slot = newest(storage, place, bytes, &header);
    const uint32_t sequence = slot < 0 ? 1u : header.sequence + 1u;
    const int into = slot == 0 ? 1 : 0;
    const uint32_t at = address_of(place, into);
    header = (Header){.magic = STORE_MAGIC,
                      .kind = place->kind,
                      .version = place->version,
                      .bytes = (uint32_t)bytes,
                      .sequence = sequence};
    header.crc = store_crc32(header_crc(&header), payload, bytes);
    if (!erase(storage, at, STORE_HEADER_BYTES + bytes) ||
        !storage->program(storage->context, at + STORE_HEADER_BYTES, payload, bytes) ||
        !storage->program(storage->context, at, &header, sizeof header)) {
        return false;
    }
    Header check;
    return slot_good(storage, place, into, bytes, &check) && check.crc == header.crc && check.sequence == sequence;
}
