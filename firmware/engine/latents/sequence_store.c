/* A sequence that survives a power cut at any byte. */
#include "sequence_store.h"

#include "../control/store.h"

static const StorePlace place = {
    .address = SEQUENCE_STORE_ADDRESS, .sectors = PORT_SEQUENCE_SECTORS, .kind = 3, .version = 1};

_Static_assert(sizeof(SequenceBank) <= PORT_SEQUENCE_SECTORS * PORT_SECTOR_BYTES - STORE_HEADER_BYTES,
               "a sequence fits a slot");

static size_t bytes_of(const SequenceSpec *spec) {
    return offsetof(SequenceBank, value) + SEQUENCE_STEPS * (size_t)(spec->latents + spec->knobs) * sizeof(float);
}

static void load(Sequence *sequence, const SequenceSpec *spec, const PortStorage *storage) {
    SequenceBank *bank = &sequence->bank;
    if (!store_load(storage, &place, bank, bytes_of(spec)) || bank->hash != spec->hash) {
        *bank = (SequenceBank){.hash = spec->hash};
    }
    bank->recorded &= (1u << SEQUENCE_STEPS) - 1u;
}

const char *sequence_store_idle(SequenceStore *store, Sequence *sequence, const SequenceSpec *spec,
                                const PortStorage *storage) {
    if (!store->loaded) {
        store->loaded = true;
        load(sequence, spec, storage);
        return NULL;
    }
    const uint32_t rested = __atomic_load_n(&sequence->rested, __ATOMIC_ACQUIRE);
    if (rested == store->stored) {
        return NULL;
    }
    if (store_save(storage, &place, &sequence->bank, bytes_of(spec))) {
        store->stored = rested;
        return NULL;
    }
    /* What changed while it was written has another sum, so it counts for nothing; it is written when it rests. */
    if (__atomic_load_n(&sequence->changes, __ATOMIC_ACQUIRE) != rested) {
        store->stored = rested;
        return NULL;
    }
    return "the sequence could not be written; the one stored before is still there";
}
