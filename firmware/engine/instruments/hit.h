/* What a drum model says of a hit, and when it is asked.
 *
 * One evaluation of the network takes 96 samples for a hit and a little longer else, in even portions: first the
 * network's layers, then what its numbers mean. One follows the other without a pause, so the load is flat and what
 * sounds follows the panel.
 */
#ifndef VAECTROL_INSTRUMENTS_HIT_H
#define VAECTROL_INSTRUMENTS_HIT_H

#include <stdbool.h>
#include <stdint.h>

#include "../dsp/bands.h"
#include "../dsp/modes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HIT_NOISE 1280u      /* log gains: points of the time grid × bands, at most */
#define HIT_TRANSIENT 512u   /* samples at most */
#define EVALUATION_TICKS 96u /* for a hit */
#define RESTING_TICKS 108u   /* while nothing is struck */

/* Constants of a model's sound; generated. */
typedef struct HitSound {
    vk_mode_slots modes;
    vk_bands bands;
    const uint16_t *grid; /* [points] frames; the last is where the sound ends */
    const float *fade;    /* [transient] of the stroke */
    uint16_t points;
    uint16_t transient; /* samples */
    uint32_t seed;
} HitSound;

/* One hit as the network says it is. */
typedef struct HitSet {
    bool ready;
    vk_mode mode[VK_MODES];
    vk_glide glide;
    vk_band_filter first;           /* of the noise, at the stroke */
    float noise[HIT_NOISE];         /* [points][bands] log gains */
    float transient[HIT_TRANSIENT]; /* only where it was asked for */
} HitSet;

/* A compiled network; generated. */
typedef struct HitModel {
    const HitSound *sound;
    void (*reset)(void *state);
    void (*begin)(void *state, const float *latents, const float *knobs);
    /* Work until `part` of `whole` of an evaluation is done. */
    void (*reach)(void *state, uint32_t part, uint32_t whole);
    void (*result)(void *state, float *modes, float *glide, float *noise);
    void (*stroke)(void *state, float *transient); /* the rest of the result, wanted of a hit alone */
} HitModel;

typedef struct Evaluation {
    const HitModel *model;
    void *state;
    HitSet *into;
    uint32_t elapsed, ticks; /* samples: done, and in all */
    uint32_t meant;          /* modes whose numbers are worked out */
    float modes[5u * VK_MODES], glide[2];
} Evaluation;

void evaluation_init(Evaluation *evaluation, const HitModel *model, void *state);
/* Begins anew, to be over in so many samples; one that was under way is dropped. */
void evaluation_begin(Evaluation *evaluation, const float *latents, const float *knobs, HitSet *into, uint32_t ticks);
/* Tells the set that has just become ready its transient, before the next evaluation begins: a hit alone needs it. */
void evaluation_stroke(const Evaluation *evaluation);
/* Samples until the set is ready. */
static inline uint32_t evaluation_left(const Evaluation *evaluation) { return evaluation->ticks - evaluation->elapsed; }
/* Goes on by so many samples, not beyond the end; whether it is over, and its set ready. */
bool evaluation_advance(Evaluation *evaluation, uint32_t ticks);

#ifdef __cplusplus
}
#endif
#endif
