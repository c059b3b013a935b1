/* What makes a note alive: a network says its loudness, its pitch beside the note's, and its breath, frame by frame.
 *
 * It is told the timbre, pitch, interval and velocity of a note, whether it is held, how old it is, and what set it in
 * motion. Beside them stand latents of how it is played, a little others at every note, and noise: both by a hash. A
 * frame has 192 samples (the definition: train/models/expression/shape.py).
 */
#ifndef VAECTROL_INSTRUMENTS_EXPRESSION_H
#define VAECTROL_INSTRUMENTS_EXPRESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "note.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXPRESSION_LATENTS 8u
#define EXPRESSION_TIMBRE 16u
#define EXPRESSION_SINCES 3u
#define EXPRESSION_EVENTS 4u
#define EXPRESSION_NOISES 3u
#define EXPRESSION_TOLD (EXPRESSION_TIMBRE + 4u + NOTE_AGES + EXPRESSION_SINCES + EXPRESSION_EVENTS + EXPRESSION_NOISES)

enum { EXPRESSION_LOUDNESS = 0, EXPRESSION_CENTS, EXPRESSION_BREATH, EXPRESSION_CURVES };

/* A compiled model; generated. */
typedef struct ExpressionModel {
    uint8_t latents, timbre;
    uint32_t seed;
    const float *spread; /* [latents] of a note's chance */
    void (*reset)(void *state);
    void (*process)(void *state, uint8_t ticks, const float *latent, const float *told, float *curves);
} ExpressionModel;

/* What hands say in a frame. */
typedef struct ExpressionHands {
    const float *timbre, *manner; /* [model's timbre]; [model's latents] */
    float octaves;                /* of the note, above 220 Hz */
    float velocity;               /* -1 … 1 */
    float life;                   /* how much chance there is; 1: as in what was learnt */
    float attack, decay, release; /* log of how much slower; how fast a note dies; log of how much slower */
    uint8_t event;                /* 0: none is told */
    uint8_t lane;                 /* number of the voice: chance differs */
    bool gate, fresh;             /* now; the first frame of a note */
} ExpressionHands;

typedef struct Expression {
    uint32_t frames, notes;     /* so far: what chance hangs on */
    float age_s, since_s;       /* of the note; since it was let go */
    float interval, octaves;    /* from the last note; of this one */
    float fading, fallen, last; /* dB a second by itself; dB beyond what is learnt; dB of the last frame */
    uint8_t event;
    float chance[EXPRESSION_LATENTS];                         /* of the note */
    float drawn[EXPRESSION_NOISES], noise[EXPRESSION_NOISES]; /* once smoothed; twice, as it is told */
    float latent[EXPRESSION_LATENTS], told[EXPRESSION_TOLD], curve[EXPRESSION_CURVES];
    float loudness, octaves_beside, breath; /* dB; of the frame; log gain */
} Expression;

void expression_reset(Expression *expression);
/* Fills what the model is told of the frame that begins. */
void expression_begin(Expression *expression, const ExpressionModel *model, const ExpressionHands *hands);
/* Takes what it said. */
void expression_end(Expression *expression, const ExpressionHands *hands);

#ifdef __cplusplus
}
#endif
#endif
