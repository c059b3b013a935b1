/* What an ear does with sound, whatever instrument it is part of: strokes, their group and likeness, the scene.
 *
 * It hears hops of 256 samples, as an encoder does. When a hop is complete, it is heard and thought about in steps of
 * about the same price, each due so many samples after, and at the last of them it is decided what happened: a stroke
 * began (at once), which group it is of (some hops later, the surer), whether it is the one that was learnt by hand.
 * `train/models/ear/picking.py` decides the same of the same numbers.
 */
#ifndef VAECTROL_INSTRUMENTS_LISTENING_H
#define VAECTROL_INSTRUMENTS_LISTENING_H

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

typedef struct ListeningSpec {
    const ListenerModel *model;
    void *memory;
    int8_t threshold, hold, patience, near; /* parameters; near: -1 where nothing is learnt by hand */
    int8_t kick, snare, hat;                /* logits that are added to those groups */
    const ListenerStep *steps;              /* of a hop, in order */
    uint16_t count;                         /* of them */
} ListeningSpec;

typedef struct Listening {
    const ListeningSpec *spec;
    const vk_fft_roots *roots;
    vk_ear_state heard_state;
    float arriving[VK_HOP];
    float heard[VK_EAR_BANDS + 1u];
    ListenerAnswer now, before;
    float said[LISTENER_SAID][LISTENER_GROUPS]; /* of groups, the newest hop first */
    Pulses pulses;
    uint32_t raised;         /* outputs whose pulses began; whoever asks clears it */
    float last_in, last_out; /* of what takes the constant part away */
    uint16_t at, step;       /* samples into the hop that arrives; the next step */

    float low;                                   /* least onset since the last stroke */
    uint16_t deaf;                               /* hops left in which none begins */
    uint16_t since;                              /* hops since the newest began; there is none: LISTENER_LONG_AGO */
    bool naming, likening;                       /* what of it is still to be decided */
    bool named;                                  /* a stroke was named; whoever asks clears it */
    float loudest;                               /* since then */
    float group, confidence, velocity, likeness; /* volts */
    float mean_scene[LISTENER_SCENES];
    uint8_t scene;

    bool learning, has_learnt;
    uint8_t learnt;                   /* strokes so far */
    float centre[LISTENER_EMBEDDING]; /* their sum, then at length 1 */
} Listening;

/* roots: begun by whoever owns them, before the first sound. */
void listening_init(Listening *self, const ListeningSpec *spec, const vk_fft_roots *roots);
/* What was learnt by hand is kept. */
void listening_reset(Listening *self);
/* The gate that teaches: strokes are taken while it is high. */
void listening_teach(Listening *self, bool high);
/* Does what is due; share: of the block that has passed. Samples until it is decided what happened or the hop is
 * complete: what comes between shows in nothing, so a callback does it at its beginning. */
size_t listening_work(Listening *self, const Panel *panel, float share);
/* So many samples, no more than listening_work said, into the hop that arrives, and to `still` without their constant
 * part; `in` may be `still`. */
void listening_take(Listening *self, const float *in, float *still, size_t count);

#ifdef __cplusplus
}
#endif
#endif
