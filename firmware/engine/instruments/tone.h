/* What a drum model is told: latents, class and attributes, each a ramp over the block. */
#ifndef VAECTROL_INSTRUMENTS_TONE_H
#define VAECTROL_INSTRUMENTS_TONE_H

#include "../control/panel.h"
#include "../latents/latents.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TONE_LATENTS 32u
#define TONE_KNOBS 48u /* classes, attributes, and what bends the model */

typedef struct TonePlane {
    int8_t x, y; /* parameters */
    uint16_t size;
    const float *grid; /* [size][size][latents] */
} TonePlane;

typedef struct ToneSpec {
    uint8_t latents, knobs;
    const int8_t *latent;         /* [latents] parameter, -1: rest, or the plane where there is one */
    const float *latent_rest;     /* [latents] the mean */
    const TonePlane *plane;       /* NULL: none */
    const int8_t *knob;           /* [knobs] parameter, -1: rest */
    const float *knob_rest;       /* [knobs] */
    int8_t class_parameter;       /* sweeps over the classes, one at a time with short blends; -1: rest */
    uint8_t classes, first_class; /* their knob channels */
    const LatentSpec *layer;      /* what happens to latents before the model has them; NULL: nothing */
    LatentMemory memory;
} ToneSpec;

typedef struct Tone {
    Ramp latent[TONE_LATENTS];
    Ramp knob[TONE_KNOBS];
    bool started;
} Tone;

/* Once per block, after panel_begin. */
void tone_update(Tone *tone, const ToneSpec *spec, const Panel *panel);
/* Values after a share of the block, 0 … 1. */
void tone_at(const Tone *tone, const ToneSpec *spec, float share, float *latent, float *knob);

#ifdef __cplusplus
}
#endif
#endif
