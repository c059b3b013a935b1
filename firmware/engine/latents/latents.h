/* What happens to latents between the panel and a model: prior, tables, sequence, scale and bias, wander, slew, hold, bound.
 *
 * Once per block, in this order. Every stage is optional (a parameter or gate of -1 leaves it out) and its neutral
 * setting leaves every latent as it was, to the bit.
 */
#ifndef VAECTROL_LATENTS_LATENTS_H
#define VAECTROL_LATENTS_LATENTS_H

#include "../control/panel.h"
#include "hold.h"
#include "prior.h"
#include "sequence.h"
#include "tables.h"
#include "wander.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LATENTS_MOST 32u

typedef struct LatentBus {
    Hold hold;
    Wander wander;
    float slewed[LATENTS_MOST];
    bool started;
} LatentBus;

/* What a layer remembers; NULL: it has no such stage. */
typedef struct LatentMemory {
    LatentBus *bus;
    Sequence *sequence;
    Tables *tables;
    Prior *prior;
} LatentMemory;

typedef struct LatentSpec {
    /* A pointer, so that an instrument without this layer doesn't link it. */
    bool (*process)(const LatentMemory *memory, const struct LatentSpec *spec, const Panel *panel, size_t ticks,
                    float *latent, float *knob);
    uint8_t latents;
    uint16_t points;
    float sample_rate_hz;
    const float *quantile; /* [latents][points], each row rising */
    const float *rest;     /* [latents] */
    uint32_t held;         /* bit n: the hold gate holds latent n */
    int8_t hold;           /* gate function */
    int8_t glide;          /* parameters: seconds */
    int8_t scale, bias;    /* about the rest; in halves of what the latent covers */
    int8_t depth, rate;    /* of the wander: 0 … 1, Hz */
    int8_t slew;           /* seconds */
    float stray;           /* beyond the ends of its quantile table, in what a latent covers */
    const SequenceSpec *sequence;
    const TablesSpec *tables;
    const PriorSpec *prior;
} LatentSpec;

/* ticks: since the last time. knob: what else the model is told. Returns whether all must be there at once, not at the
 * end of a ramp. */
bool latents_process(const LatentMemory *memory, const LatentSpec *spec, const Panel *panel, size_t ticks,
                     float *latent, float *knob);

#ifdef __cplusplus
}
#endif
#endif
