/* A listener: strokes in a sound become gates, their group, strength and likeness become voltages.
 *
 * It hears hops of 256 samples, as an encoder does. When a hop is complete, it is heard and thought about in steps of
 * about the same price, each due so many samples after, and at the last of them it is decided what happened: a stroke
 * began (at once), which group it is of (some hops later, the surer), whether it is the one that was learnt by hand.
 * `train/models/ear/picking.py` decides the same of the same numbers.
 */
#ifndef VAECTROL_INSTRUMENTS_LISTENER_H
#define VAECTROL_INSTRUMENTS_LISTENER_H

#include "../control/panel.h"
#include "../dsp/ear.h"
#include "outputs.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LISTENER_GROUPS 5u
#define LISTENER_SCENES 4u
#define LISTENER_EMBEDDING 32u /* at most */
#define LISTENER_SAID 4u       /* hops that are remembered */
#define LISTENER_SURE_HOPS 6u  /* after a stroke's own, at which its likeness is read: 32 ms */
#define LISTENER_TICKS 64u     /* of a hop, into which a network can be cut */

enum { LISTENER_LEARN = 0, LISTENER_GATES };
enum {
    LISTENER_OUT_ONSET = 0,
    LISTENER_OUT_KICK, /* and the other groups in their order */
    LISTENER_OUT_SNARE,
    LISTENER_OUT_HAT,
    LISTENER_OUT_TOM,
    LISTENER_OUT_PERC,
    LISTENER_OUT_USER,
    LISTENER_OUTS
};
/* Voltages: the gates above as 5 V, for boards with few gate jacks, then these. */
enum {
    LISTENER_OUT_GROUP = LISTENER_OUTS,
    LISTENER_OUT_CONFIDENCE,
    LISTENER_OUT_VELOCITY,
    LISTENER_OUT_SCENE,
    LISTENER_OUT_LIKENESS
};
enum { LISTENER_AUDIO_MIX = 0 };
enum { LISTENER_STAGE_HEAR = 0, LISTENER_STAGE_THINK, LISTENER_STAGE_DECIDE };

/* A part of a stage: a piece of hearing, or so many ticks of the network. */
typedef struct ListenerStep {
    uint16_t due; /* samples after the hop is complete, rising, below 256 */
    uint8_t stage, part;
} ListenerStep;

/* What the network says of a hop. */
typedef struct ListenerAnswer {
    float strokes[1u + LISTENER_GROUPS]; /* logits: that one began; what the newest one is */
    float scene[LISTENER_SCENES];
    float embedding[LISTENER_EMBEDDING];
} ListenerAnswer;

/* A compiled ear; generated. The first tick of a hop reads what is heard, the last writes the answer. */
typedef struct ListenerModel {
    vk_ear ear;
    uint8_t embedding; /* numbers of it */
    void (*reset)(void *state);
    void (*process)(void *state, uint8_t ticks, const float *heard, ListenerAnswer *answer);
} ListenerModel;

typedef struct ListenerSpec {
    const ListenerModel *model;
    void *memory;
    int8_t threshold, hold, patience, near; /* parameters */
    int8_t kick, snare, hat;                /* logits that are added to those groups */
    int8_t gain, monitor, level;
    const ListenerStep *steps; /* of a hop, in order */
    uint16_t count;            /* of them */
    OutputSpec outputs;
} ListenerSpec;

typedef struct Listener {
    const ListenerSpec *spec;
    vk_fft_roots roots;
    vk_ear_state heard_state;
    float arriving[VK_HOP];
    float heard[VK_EAR_BANDS + 1u];
    ListenerAnswer now, before;
    float said[LISTENER_SAID][LISTENER_GROUPS]; /* of groups, the newest hop first */
    Pulses pulses;
    float share;             /* of the block that has passed where a step is done */
    float last_in, last_out; /* of what takes the constant part away */
    uint16_t at, step;       /* samples into the hop that arrives; the next step */

    float low;                                   /* least onset since the last stroke */
    uint16_t deaf;                               /* hops left in which none begins */
    uint16_t since;                              /* hops since the newest began; there is none: LISTENER_LONG_AGO */
    bool naming, likening;                       /* what of it is still to be decided */
    float loudest;                               /* since then */
    float group, confidence, velocity, likeness; /* volts */
    float mean_scene[LISTENER_SCENES];
    uint8_t scene;

    bool learning, has_learnt;
    uint8_t learnt;                   /* strokes so far */
    float centre[LISTENER_EMBEDDING]; /* their sum, then at length 1 */
    float pip_sine, pip_cosine;       /* what is heard of a stroke that was named */
    uint8_t pip;                      /* its group */
} Listener;

void listener_init(Listener *listener, const ListenerSpec *spec);
void listener_reset(Listener *listener);
void listener_render(Listener *listener, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
