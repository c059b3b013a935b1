/* Several models on one module. */
#include "slots.h"

#include "../control/bound.h"

static const char not_written[] = "the flash did not take the model; the one before is still there";
static const char not_chosen[] = "the flash did not take the choice";
static const char not_free[] = "another model is about to play; send it again";

static ModelPhase phase_of(const ModelSlots *slots) {
    return (ModelPhase)__atomic_load_n(&slots->phase, __ATOMIC_ACQUIRE);
}

static void go_to(ModelSlots *slots, ModelPhase phase) {
    __atomic_store_n(&slots->phase, (uint8_t)phase, __ATOMIC_RELEASE);
}

static bool equal(const void *one, const void *other, size_t bytes) {
    const uint8_t *a = one, *b = other;
    size_t i = 0;
    while (i < bytes && a[i] == b[i]) {
        ++i;
    }
    return i == bytes;
}

/* `text` has `size` bytes; it ends with a zero where it is shorter. */
static bool says(const char *text, size_t size, const char *word) {
    size_t i = 0;
    while (i < size && text[i] == word[i] && word[i] != '\0') {
        ++i;
    }
    return i < size && text[i] == word[i];
}

static const char *refusal(const ModelSlotsSpec *spec, const ModelHead *head) {
    if (!equal(head->signature, spec->signature, PORT_SIGNATURE_BYTES) || head->bytes != spec->bytes) {
        return "the model has another shape than the one of this image";
    }
    return NULL;
}

/* The model that was built in lies in place as long as no other was put there. */
static void take_built_in(ModelSlots *slots) {
    if (!slots->taken) {
        model_take(slots->spec->part, slots->spec->parts, slots->spec->built_in);
        slots->taken = true;
    }
}

/* Reads a slot and proves it; NULL when it may play. */
static const char *stage(ModelSlots *slots, const PortStorage *storage, uint8_t slot) {
    const ModelSlotsSpec *spec = slots->spec;
    ModelHead head;
    if (!slot_find(storage, slot, &head)) {
        return "the slot is empty";
    }
    const char *why = refusal(spec, &head);
    if (why != NULL) {
        return why;
    }
    if (!slot_read(storage, slot, &head, spec->staged, spec->bytes)) {
        return "the slot is damaged; send the model again";
    }
    return model_holds(spec->part, spec->parts, spec->staged) ? NULL : "the model's sums could overflow";
}

static void put(ModelSlots *slots, uint8_t slot) {
    const ModelSlotsSpec *spec = slots->spec;
    model_put(spec->part, spec->parts, slot == 0 ? spec->built_in : spec->staged);
    slots->playing = slot;
    slots->stale = false;
    slots->pair = PORT_NO_MODEL;
}

/* The other model of the blend lies in `second`, the playing one in `first`; NULL when they may be mixed. */
static const char *pair_up(ModelSlots *slots, const PortStorage *storage, uint8_t slot) {
    const ModelSlotsSpec *spec = slots->spec;
    const char *why = slot == 0 ? NULL : stage(slots, storage, slot);
    if (why != NULL) {
        return why;
    }
    if (slots->pair == PORT_NO_MODEL) {
        model_take(spec->part, spec->parts, spec->first);
    }
    __builtin_memcpy(spec->second, slot == 0 ? spec->built_in : spec->staged, spec->bytes);
    if (!model_mixes(spec->part, spec->parts, spec->first, spec->second, spec->staged)) {
        return "the two models' scales differ too much for a blend";
    }
    slots->pair = slot;
    slots->share = -1; /* whatever share is asked for, it is not in place */
    return NULL;
}

/* Only the first model is left. */
static void part_again(ModelSlots *slots) {
    const ModelSlotsSpec *spec = slots->spec;
    if (slots->pair != PORT_NO_MODEL) {
        model_put(spec->part, spec->parts, spec->first);
    }
    slots->pair = PORT_NO_MODEL;
}

static void pair_as_chosen(ModelSlots *slots, const PortStorage *storage) {
    uint8_t pair;
    if (storage != NULL && slots->spec->first != NULL && slot_chosen(storage, &pair) == slots->playing &&
        pair != PORT_NO_MODEL) {
        (void)pair_up(slots, storage, pair);
    }
}

void model_slots_load(ModelSlots *slots, const PortStorage *storage) {
    take_built_in(slots);
    uint8_t pair;
    const uint8_t chosen = storage == NULL ? 0 : slot_chosen(storage, &pair);
    const bool good = chosen != 0 && stage(slots, storage, chosen) == NULL;
    put(slots, good ? chosen : 0);
    slots->write.open = false;
    slots->gain = MODEL_FADE_TICKS;
    slots->moving = 0;
    pair_as_chosen(slots, storage);
    go_to(slots, MODEL_PLAYS);
}

bool model_slots_play(ModelSlots *slots, const PortBlock *block) {
    if (phase_of(slots) != MODEL_PARKED) {
        return true;
    }
    for (size_t c = 0; c < slots->spec->audios; ++c) {
        __builtin_memset(block->audio_out[c], 0, block->ticks * sizeof(float));
    }
    for (size_t c = 0; c < slots->spec->cvs; ++c) {
        for (size_t i = 0; i < block->ticks; ++i) {
            block->cv_out[c][i] = slots->cv[c];
        }
    }
    __builtin_memset(block->gates_out, 0, block->ticks * sizeof(uint32_t));
    return false;
}

void model_slots_fade(ModelSlots *slots, const PortBlock *block) {
    const bool down = phase_of(slots) == MODEL_FADES;
    uint32_t gain = slots->gain;
    for (size_t i = 0; i < block->ticks; ++i) {
        gain = down ? gain - (gain > 0) : gain + (gain < MODEL_FADE_TICKS);
        for (size_t c = 0; c < slots->spec->audios; ++c) {
            block->audio_out[c][i] *= (float)gain * (1.0f / MODEL_FADE_TICKS);
        }
    }
    slots->gain = gain;
    for (size_t c = 0; c < slots->spec->cvs; ++c) {
        slots->cv[c] = block->cv_out[c][block->ticks - 1u];
    }
    if (down && gain == 0) {
        go_to(slots, MODEL_PARKED);
    } else if (!down && gain == MODEL_FADE_TICKS) {
        __atomic_store_n(&slots->moving, 0u, __ATOMIC_RELAXED);
    }
}

bool model_slots_still(const ModelSlots *slots) { return phase_of(slots) == MODEL_PLAYS; }

bool model_slots_swap(ModelSlots *slots) {
    if (phase_of(slots) != MODEL_PARKED) {
        return false;
    }
    put(slots, slots->next);
    return true;
}

void model_slots_return(ModelSlots *slots, const PortStorage *storage) {
    pair_as_chosen(slots, storage);
    go_to(slots, MODEL_PLAYS);
}

void model_slots_blend(ModelSlots *slots, float share) {
    const ModelSlotsSpec *spec = slots->spec;
    const int32_t whole = (int32_t)(bound_unit(share) * MODEL_WHOLE + 0.5f);
    if (slots->pair != PORT_NO_MODEL && whole != slots->share) {
        model_blend(spec->part, spec->parts, spec->first, spec->second, whole);
        slots->share = whole;
    }
}

void model_slots_info(const ModelSlots *slots, PortModels *info) {
    *info = (PortModels){.target = slots->spec->target,
                         .bytes = slots->spec->bytes,
                         .pair = slots->pair,
                         .blends = slots->spec->first != NULL,
                         .playing = phase_of(slots) == MODEL_PLAYS ? slots->playing : slots->next,
                         .written = slots->write.open ? slots->write.at : 0};
    __builtin_memcpy(info->signature, slots->spec->signature, PORT_SIGNATURE_BYTES);
}

bool model_slots_slot(const ModelSlots *slots, const PortStorage *storage, uint8_t slot, PortModel *model) {
    ModelHead head;
    if (!slot_find(storage, slot, &head)) {
        return false;
    }
    *model = (PortModel){.bytes = head.bytes, .hash = head.hash, .fits = refusal(slots->spec, &head) == NULL};
    _Static_assert(sizeof model->name == sizeof head.name && sizeof model->licence == sizeof head.licence, "as stored");
    __builtin_memcpy(model->name, head.name, sizeof head.name);
    __builtin_memcpy(model->licence, head.licence, sizeof head.licence);
    return true;
}

const char *model_slots_begin(ModelSlots *slots, const PortStorage *storage, uint8_t slot, const void *head,
                              size_t bytes) {
    ModelHead read;
    slots->write.open = false;
    if (slot < 1 || slot > PORT_MODEL_SLOTS) {
        return "there is no such slot";
    }
    if (bytes != sizeof read) {
        return "this is no slot file of this version";
    }
    __builtin_memcpy(&read, head, sizeof read);
    if (read.magic != MODEL_MAGIC || read.version != MODEL_VERSION) {
        return "this is no slot file of this version";
    }
    if (!says(read.board, sizeof read.board, slots->spec->board)) {
        return "the model was made for another board";
    }
    if (read.bytes > MODEL_MOST_BYTES) {
        return "the model is larger than a slot";
    }
    const char *why = refusal(slots->spec, &read);
    if (why == NULL && !slot_write_begin(&slots->write, storage, slot, &read)) {
        why = not_written;
    }
    slots->write.open = why == NULL;
    return why;
}

const char *model_slots_data(ModelSlots *slots, const PortStorage *storage, uint32_t at, const uint8_t *data,
                             size_t count) {
    SlotWrite *write = &slots->write;
    if (!write->open) {
        return "no model is on its way; begin it";
    }
    if (at != write->at || count > write->head.bytes - at) {
        return "these bytes are not the next ones of the model";
    }
    if (slot_write_data(write, storage, data, count)) {
        return NULL;
    }
    write->open = false;
    return not_written;
}

const char *model_slots_commit(ModelSlots *slots, const PortStorage *storage) {
    const ModelSlotsSpec *spec = slots->spec;
    if (!slots->write.open) {
        return "no model is on its way; begin it";
    }
    if (phase_of(slots) != MODEL_PLAYS) {
        return not_free; /* of the memory that it is read into */
    }
    if (slots->write.at != slots->write.head.bytes) {
        return "some bytes of the model are missing";
    }
    if (!slot_write_check(&slots->write, storage, spec->staged)) {
        return "what was written is not what was sent; send it again";
    }
    if (!model_holds(spec->part, spec->parts, spec->staged)) {
        slots->write.open = false;
        return "the model's sums could overflow";
    }
    slots->stale = slots->stale || slots->write.slot == slots->playing;
    return slot_write_end(&slots->write, storage) ? NULL : not_written;
}

/* Reads the slot and proves it, so that it may play next. */
static const char *make_ready(ModelSlots *slots, const PortStorage *storage, uint8_t slot) {
    if (slot > PORT_MODEL_SLOTS) {
        return "there is no such slot";
    }
    if (phase_of(slots) != MODEL_PLAYS) {
        return not_free;
    }
    take_built_in(slots);
    return slot == 0 ? NULL : stage(slots, storage, slot);
}

static void fade_to(ModelSlots *slots, uint8_t slot, bool brought) {
    slots->next = slot;
    slots->brought = brought;
    go_to(slots, MODEL_FADES);
    __atomic_store_n(&slots->moving, 1u, __ATOMIC_RELEASE);
}

const char *model_slots_use(ModelSlots *slots, const PortStorage *storage, uint8_t slot) {
    const char *why = make_ready(slots, storage, slot);
    if (why == NULL && !slot_choose(storage, slot, PORT_NO_MODEL)) {
        why = not_chosen;
    }
    if (why == NULL) {
        fade_to(slots, slot, false);
    }
    return why;
}

const char *model_slots_bring(ModelSlots *slots, const PortStorage *storage, uint8_t slot) {
    if (slot == slots->playing && !slots->stale && phase_of(slots) == MODEL_PLAYS) {
        return NULL;
    }
    const char *why = make_ready(slots, storage, slot);
    if (why == NULL) {
        fade_to(slots, slot, true);
    }
    return why;
}

const char *model_slots_morph(ModelSlots *slots, const PortStorage *storage, uint8_t slot) {
    if (slots->spec->first == NULL) {
        return "this instrument blends no models; say morph = true in its file";
    }
    if (slot > PORT_MODEL_SLOTS && slot != PORT_NO_MODEL) {
        return "there is no such slot";
    }
    if (phase_of(slots) != MODEL_PLAYS) {
        return not_free;
    }
    const char *why = NULL;
    if (slot == PORT_NO_MODEL) {
        part_again(slots);
    } else {
        take_built_in(slots);
        why = pair_up(slots, storage, slot);
    }
    if (why != NULL) {
        part_again(slots);
    }
    const bool chosen = slot_choose(storage, slots->playing, slots->pair);
    return why != NULL || chosen ? why : not_chosen;
}

const char *model_slots_erase(ModelSlots *slots, const PortStorage *storage, uint8_t slot) {
    if (slot < 1 || slot > PORT_MODEL_SLOTS) {
        return "there is no such slot";
    }
    slots->write.open = false; /* what is on its way may be newer */
    slots->stale = slots->stale || slot == slots->playing;
    return slot_erase(storage, slot) ? NULL : "the flash did not erase the slot";
}
