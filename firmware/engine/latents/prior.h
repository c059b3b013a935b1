/* A prior: goes on by itself in the latents that it listened to, a frame of its own after the other.
 *
 * While its gate is high or its depth is 0 it listens, and what comes passes as it came. Then it answers: a network
 * says where each latent goes next and how surely, a hash of the frame's number draws from that, and what is drawn is
 * played at its place among the training data. The network works in slices, evenly over the frame before.
 */
#ifndef VAECTROL_LATENTS_PRIOR_H
#define VAECTROL_LATENTS_PRIOR_H

#include "../control/panel.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PRIOR_LATENTS 32u
#define PRIOR_HELD 192u  /* numbers that a network remembers */
#define PRIOR_CELLS 256u /* of the table of normal numbers */

/* A compiled network of one frame; generated. */
typedef struct PriorNetwork {
    void (*reset)(void *state);
    void (*begin)(void *state, const float *latent, const float *held);
    /* Works until part of whole is done. */
    void (*reach)(void *state, uint32_t part, uint32_t whole);
    /* steps[2·latents]: to where each goes, likely or else; chances[3·latents]: both spreads, the share of the first. */
    void (*result)(const void *state, float *steps, float *chances, float *held);
} PriorNetwork;

struct Prior;

typedef struct PriorSpec {
    /* A pointer, so that a layer without a prior doesn't link it. */
    void (*play)(struct Prior *prior, const struct PriorSpec *spec, const Panel *panel, float *latent);
    const PriorNetwork *network;
    uint8_t latents;
    uint16_t held;
    uint32_t ticks; /* samples of a frame */
    float widest, narrowest;
    uint8_t temperatures;
    uint16_t points;
    const float *temperature; /* [temperatures], rising */
    const float *own;         /* [temperatures][latents][points] quantiles of what it says by itself */
    const float *data;        /* [latents][points] of the training data */
    const float *low, *high;  /* [latents] where what is drawn stops */
    const float *normal;      /* [PRIOR_CELLS + 1] quantiles of a normal number, evenly spaced */
    int8_t listen;            /* gate function */
    int8_t depth, heat;       /* parameters; heat: the temperature */
} PriorSpec;

/* A frame and what was remembered before it. */
typedef struct PriorPlace {
    float latent[PRIOR_LATENTS], held[PRIOR_HELD];
} PriorPlace;

typedef struct Prior {
    void *state; /* of the network */
    PriorPlace now;
    PriorPlace heard;            /* the last one while it listened: where it goes back to when it runs away */
    float coming[PRIOR_LATENTS]; /* what came to be played */
    float from[PRIOR_LATENTS];   /* the frame before */
    uint32_t at;                 /* samples into the frame */
    uint32_t frame;              /* counted: what is drawn */
    float coupled;               /* share of the way to the same place among the training data */
    uint8_t astray;              /* frames at a wall, one after the other */
    uint8_t still;               /* frames without a step */
    bool answers;
} Prior;

void prior_init(Prior *prior, const PriorSpec *spec, void *state);
void prior_reset(Prior *prior, const PriorSpec *spec);
/* Once per block, after panel_begin. */
void prior_advance(Prior *prior, const PriorSpec *spec, const Panel *panel);
void prior_play(Prior *prior, const PriorSpec *spec, const Panel *panel, float *latent);

#ifdef __cplusplus
}
#endif
#endif
