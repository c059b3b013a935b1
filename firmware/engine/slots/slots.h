/* Several models on one module: which one plays, and how another takes its place while it plays.
 *
 * The model that was built in is kept in slow memory. Another is read there from its slot, checked and proven harmless,
 * while the old one plays on. Then the sound fades, the callback leaves the instrument alone, the numbers are copied,
 * the instrument starts as after power on, and the sound returns.
 */
#ifndef VAECTROL_SLOTS_SLOTS_H
#define VAECTROL_SLOTS_SLOTS_H

#include "part.h"
#include "slot_store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_FADE_TICKS 240u /* 5 ms at 48 kHz */

typedef struct ModelSlotsSpec {
    const char *board, *target;
    uint8_t signature[PORT_SIGNATURE_BYTES];
    uint8_t audios, cvs; /* outputs that the instrument fills */
    uint16_t parts;
    uint32_t bytes; /* of a payload */
    const ModelPart *const *part;
    uint8_t *built_in, *staged; /* [bytes] in memory that may be slow */
    uint8_t *first, *second;    /* the same, of the two that are blended; NULL: no two are */
} ModelSlotsSpec;

typedef enum ModelPhase { MODEL_PLAYS, MODEL_FADES, MODEL_PARKED } ModelPhase;

typedef struct ModelSlots {
    const ModelSlotsSpec *spec;
    uint32_t moving; /* not 0: a model comes or goes, so the callback asks */
    uint8_t phase;   /* the callback goes from MODEL_FADES to MODEL_PARKED, the main loop all other ways */
    bool taken;      /* `built_in` holds what was built in */
    uint8_t playing; /* slot; 0: built in */
    uint8_t next;    /* slot that is staged */
    uint32_t gain;   /* of the sound, 0 … MODEL_FADE_TICKS */
    uint8_t pair;    /* slot of the model that the playing one is blended with; 0: built in; PORT_NO_MODEL: none */
    int32_t share;   /* of it that is in place, 0 … MODEL_WHOLE */
    float cv[PORT_MAX_CV_OUTS];
    SlotWrite write;
    bool stale;   /* the flash no longer holds what plays in the slot that plays */
    bool brought; /* the model that comes is one that a preset names */
} ModelSlots;

/* At power on, before the instrument is initialised: the numbers of the slot that was chosen. */
void model_slots_load(ModelSlots *slots, const PortStorage *storage);

/* In the callback, while a model comes or goes. false: the instrument is left alone, and the block is silent. */
bool model_slots_play(ModelSlots *slots, const PortBlock *block);
void model_slots_fade(ModelSlots *slots, const PortBlock *block);
static inline bool model_slots_move(const ModelSlots *slots) {
    return __atomic_load_n(&slots->moving, __ATOMIC_RELAXED) != 0;
}

/* No model is about to go. */
bool model_slots_still(const ModelSlots *slots);
/* In the main loop. true: the numbers are in place; start the instrument anew, then return. */
bool model_slots_swap(ModelSlots *slots);
void model_slots_return(ModelSlots *slots, const PortStorage *storage);
/* Brings the blend to a share of 0 … 1. */
void model_slots_blend(ModelSlots *slots, float share);

/* What port.h promises. */
void model_slots_info(const ModelSlots *slots, PortModels *info);
bool model_slots_slot(const ModelSlots *slots, const PortStorage *storage, uint8_t slot, PortModel *model);
const char *model_slots_begin(ModelSlots *slots, const PortStorage *storage, uint8_t slot, const void *head,
                              size_t bytes);
const char *model_slots_data(ModelSlots *slots, const PortStorage *storage, uint32_t at, const uint8_t *data,
                             size_t count);
const char *model_slots_commit(ModelSlots *slots, const PortStorage *storage);
const char *model_slots_use(ModelSlots *slots, const PortStorage *storage, uint8_t slot);
/* The same until power off: the flash keeps the choice before. It does nothing where the slot plays already. */
const char *model_slots_bring(ModelSlots *slots, const PortStorage *storage, uint8_t slot);
const char *model_slots_morph(ModelSlots *slots, const PortStorage *storage, uint8_t slot);
const char *model_slots_erase(ModelSlots *slots, const PortStorage *storage, uint8_t slot);

#ifdef __cplusplus
}
#endif
#endif
