/* Models in flash that survive a power cut at any byte. */
#include "slot_store.h"

#include "../control/store.h"

#define PLACES (PORT_MODEL_SLOTS + 1u)
#define CHOICE_ADDRESS (PORT_STORAGE_BYTES - PORT_MODELS_BYTES)
#define NOWHERE PLACES
#define CHUNK_BYTES 256u

/* A head as it is stored. */
typedef struct Stored {
    ModelHead head;
    uint32_t slot, sequence;
    uint32_t spare;
    uint32_t crc; /* of all before */
} Stored;
_Static_assert(sizeof(Stored) == MODEL_STORED_BYTES, "a head is stored as it lies in memory");

typedef struct Choice {
    uint8_t slot, pair, spare[2];
} Choice;
static const StorePlace choice_place = {.address = CHOICE_ADDRESS, .sectors = 1, .kind = 4, .version = 1};

static uint32_t address_of(uint8_t place) {
    return CHOICE_ADDRESS + 2u * PORT_SECTOR_BYTES + place * MODEL_PLACE_BYTES;
}

static bool ends(const char *text, size_t size) { return text[size - 1u] == '\0'; }

static bool head_good(const ModelHead *head) {
    return head->magic == MODEL_MAGIC && head->version == MODEL_VERSION && head->head_bytes == sizeof(ModelHead) &&
           head->bytes > 0 && head->bytes <= MODEL_MOST_BYTES && ends(head->board, sizeof head->board) &&
           ends(head->name, sizeof head->name) && ends(head->licence, sizeof head->licence);
}

static bool read_stored(const PortStorage *storage, uint8_t place, Stored *stored) {
    return storage->read(storage->context, address_of(place), stored, sizeof *stored) && head_good(&stored->head) &&
           stored->slot >= 1 && stored->slot <= PORT_MODEL_SLOTS &&
           stored->crc == store_crc32(0, stored, offsetof(Stored, crc));
}

/* The place of the newest of a slot, or NOWHERE. */
static uint8_t newest(const PortStorage *storage, uint8_t slot, Stored *stored) {
    uint8_t found = NOWHERE;
    for (uint8_t place = 0; place < PLACES; ++place) {
        Stored other;
        if (!read_stored(storage, place, &other) || other.slot != slot) {
            continue;
        }
        /* The difference of sequence numbers survives their wrapping. */
        if (found == NOWHERE || (int32_t)(other.sequence - stored->sequence) > 0) {
            *stored = other;
            found = place;
        }
    }
    return found;
}

bool slot_find(const PortStorage *storage, uint8_t slot, ModelHead *head) {
    Stored stored;
    if (newest(storage, slot, &stored) == NOWHERE) {
        return false;
    }
    *head = stored.head;
    return true;
}

bool slot_read(const PortStorage *storage, uint8_t slot, ModelHead *head, uint8_t *payload, uint32_t bytes) {
    Stored stored;
    const uint8_t place = newest(storage, slot, &stored);
    if (place == NOWHERE || stored.head.bytes != bytes) {
        return false;
    }
    *head = stored.head;
    return storage->read(storage->context, address_of(place) + MODEL_STORED_BYTES, payload, bytes) &&
           store_crc32(0, payload, bytes) == head->crc;
}

/* Older ones first: a power cut on the way leaves the newest. */
bool slot_erase(const PortStorage *storage, uint8_t slot) {
    Stored stored;
    const uint8_t last = newest(storage, slot, &stored);
    for (uint8_t place = 0; place < PLACES; ++place) {
        if (place != last && read_stored(storage, place, &stored) && stored.slot == slot &&
            !storage->erase(storage->context, address_of(place))) {
            return false;
        }
    }
    return last == NOWHERE || storage->erase(storage->context, address_of(last));
}

bool slot_write_begin(SlotWrite *write, const PortStorage *storage, uint8_t slot, const ModelHead *head) {
    bool taken[PLACES] = {false};
    Stored stored;
    for (uint8_t one = 1; one <= PORT_MODEL_SLOTS; ++one) {
        const uint8_t place = newest(storage, one, &stored);
        if (place != NOWHERE) {
            taken[place] = true;
        }
    }
    uint8_t into = 0;
    while (taken[into]) { /* one is free */
        ++into;
    }
    *write = (SlotWrite){.head = *head, .open = true, .slot = slot, .into = into};
    return head_good(head) && storage->erase(storage->context, address_of(into));
}

bool slot_write_data(SlotWrite *write, const PortStorage *storage, const uint8_t *data, size_t count) {
    const uint32_t place = address_of(write->into);
    while (count > 0) {
        const uint32_t at = MODEL_STORED_BYTES + write->at, left = PORT_SECTOR_BYTES - at % PORT_SECTOR_BYTES;
        const size_t part = count < left ? count : left;
        if (at % PORT_SECTOR_BYTES == 0 && !storage->erase(storage->context, place + at)) {
            return false;
        }
        if (!storage->program(storage->context, place + at, data, part)) {
            return false;
        }
        data += part;
        count -= part;
        write->at += (uint32_t)part;
    }
    return true;
}

bool slot_write_check(const SlotWrite *write, const PortStorage *storage, uint8_t *payload) {
    const uint32_t bytes = write->head.bytes;
    return write->at == bytes &&
           storage->read(storage->context, address_of(write->into) + MODEL_STORED_BYTES, payload, bytes) &&
           store_crc32(0, payload, bytes) == write->head.crc;
}

bool slot_write_end(SlotWrite *write, const PortStorage *storage) {
    Stored before, stored = {.head = write->head, .slot = write->slot, .sequence = 1};
    if (newest(storage, write->slot, &before) != NOWHERE) {
        stored.sequence = before.sequence + 1u;
    }
    stored.crc = store_crc32(0, &stored, offsetof(Stored, crc));
    write->open = false;
    return storage->program(storage->context, address_of(write->into), &stored, sizeof stored) &&
           newest(storage, write->slot, &before) == write->into;
}

uint8_t slot_chosen(const PortStorage *storage, uint8_t *pair) {
    Choice choice;
    const bool good = store_load(storage, &choice_place, &choice, sizeof choice) && choice.slot <= PORT_MODEL_SLOTS &&
                      (choice.pair <= PORT_MODEL_SLOTS || choice.pair == PORT_NO_MODEL);
    *pair = good ? choice.pair : PORT_NO_MODEL;
    return good ? choice.slot : 0;
}

bool slot_choose(const PortStorage *storage, uint8_t slot, uint8_t pair) {
    const Choice choice = {.slot = slot, .pair = pair};
    uint8_t other;
    return (slot_chosen(storage, &other) == slot && other == pair) ||
           store_save(storage, &choice_place, &choice, sizeof choice);
}
