/* Sixteen steps of latents on a clock, and of what else a model is told: recorded live, then played with glide, chance, repeated strikes and mutation.
 *
 * A step that holds nothing leaves the latents to what moves them. While nothing is recorded, the sequence is not
 * there, to the bit. Chance and mutation are hashes of how many steps went by, so every target plays the same.
 */
#ifndef VAECTROL_LATENTS_SEQUENCE_H
#define VAECTROL_LATENTS_SEQUENCE_H

#include "../control/panel.h"
#include "../instruments/step_clock.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SEQUENCE_STEPS 16u
#define SEQUENCE_LATENTS 32u
#define SEQUENCE_VALUES 80u /* latents, then knobs */

/* What is stored of it; the values of one step lie behind those of the other, as many as the model is told. */
typedef struct SequenceBank {
    uint32_t hash;     /* of the model that is told them */
    uint32_t recorded; /* bit n: step n holds something */
    float value[SEQUENCE_STEPS * SEQUENCE_VALUES];
} SequenceBank;

typedef struct Sequence {
    StepClock clock;
    SequenceBank bank;
    float from[SEQUENCE_VALUES]; /* where all was when the step began that sounds */
    float now[SEQUENCE_VALUES];
    int64_t grid;     /* the last step of the clock; -1: before the first */
    int64_t next;     /* place of the next step or strike */
    int64_t began;    /* place at which the step began that sounds */
    uint32_t count;   /* of steps that went by */
    uint32_t changes; /* of the bank since power on */
    uint32_t rested;  /* of these, those that nothing followed for a while: what is stored follows */
    float resting_s;  /* until the last one counts as such; 0: it does */
    int8_t index;     /* of the step that the clock is at; -1: before the first */
    uint8_t sounding;
    uint8_t strikes, struck; /* of the step: how many there are, how many came */
    bool glides, takes, takes_next, jumps;
} Sequence;

typedef struct SequenceSpec {
    /* A pointer, so that a layer without a sequence doesn't link it. */
    bool (*play)(Sequence *sequence, const struct SequenceSpec *spec, const Panel *panel, float *latent, float *knob);
    uint8_t latents, knobs;
    uint16_t points;
    float sample_rate_hz;
    const float *quantile;                      /* [latents][points], each row rising */
    uint32_t hash;                              /* of the model: steps of another are not its own */
    bool clocked;                               /* something is patched to the clock */
    int8_t clock, reset, record, clear, strike; /* gate functions; strike: the one it raises, -1: none */
    int8_t depth, steps, glide, probability, ratchet, mutation, ratio, tempo; /* parameters */
} SequenceSpec;

void sequence_init(Sequence *sequence, const SequenceSpec *spec);
/* To the first step; what is recorded stays. */
void sequence_reset(Sequence *sequence, const SequenceSpec *spec);
/* Once per block, after panel_begin: the clock goes on, and steps that begin raise the gate that strikes. */
void sequence_advance(Sequence *sequence, const SequenceSpec *spec, Panel *panel);
/* Records and plays; whether all must be there at once, because this block strikes. */
bool sequence_play(Sequence *sequence, const SequenceSpec *spec, const Panel *panel, float *latent, float *knob);

#ifdef __cplusplus
}
#endif
#endif
