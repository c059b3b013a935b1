/* What happens to latents between the panel and a model: scale and bias, wander, slew, hold, bound.
 *
 * Once per block, in this order. Every stage is optional (a parameter or gate of -1 leaves it out) and its neutral
 * setting leaves every latent as it was, to the bit.
 */
#ifndef VAECTROL_LATENTS_LATENTS_H
#define VAECTROL_LATENTS_LATENTS_H

#include "../control/panel.h"
#include "hold.h"
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

typedef struct LatentSpec {
    /* A pointer, so that an instrument without this layer doesn't link it. */
    void (*process)(LatentBus *bus, const struct LatentSpec *spec, const Panel *panel, float *latent);
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
} LatentSpec;

void latents_process(LatentBus *bus, const LatentSpec *spec, const Panel *panel, float *latent);

#ifdef __cplusplus
}
#endif
#endif
