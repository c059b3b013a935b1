/* A latent rhythm: a point in a space of drum patterns, played on a clock.
 *
 * The decoder turns latents and attributes into 32 steps × 9 voices of probability, velocity and microtiming, a slice
 * of it per callback. What is played is decided at the moment it is due: a voice plays where its probability
 * passes its density, so that turning density up adds hits in the order of their importance.
 */
#ifndef VAECTROL_INSTRUMENTS_RHYTHM_H
#define VAECTROL_INSTRUMENTS_RHYTHM_H

#include "../control/panel.h"
#include "decision.h"
#include "outputs.h"
#include "step_clock.h"
#include "tone.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RHYTHM_VOICES 9u /* kick snare hat_closed hat_open tom_low tom_mid tom_high crash ride */
#define RHYTHM_STEPS 32u
#define RHYTHM_HITS 64u /* per block; what is beyond is dropped */

enum { RHYTHM_CLOCK = 0, RHYTHM_RESET, RHYTHM_FILL, RHYTHM_FREEZE, RHYTHM_GATES };
enum { RHYTHM_OUT_ACCENT = RHYTHM_VOICES, RHYTHM_OUT_STEP, RHYTHM_OUT_START }; /* gates; 0 … 8: voices */
enum { RHYTHM_OUT_VELOCITY = RHYTHM_VOICES, RHYTHM_OUT_PHASE };                /* volts; 0 … 8: velocities */

typedef struct Pattern {
    float onset[RHYTHM_VOICES][RHYTHM_STEPS];
    float velocity[RHYTHM_VOICES][RHYTHM_STEPS];
    float microtiming[RHYTHM_VOICES][RHYTHM_STEPS]; /* steps */
} Pattern;

/* A compiled event decoder; generated. */
typedef struct RhythmModel {
    const Decoder *decoder;
    void (*result)(void *state, Pattern *pattern);
} RhythmModel;

typedef struct RhythmSpec {
    const RhythmModel *model;
    void *state;
    ToneSpec tone; /* latents and attributes */
    float sample_rate_hz;
    int8_t density[RHYTHM_VOICES];
    int8_t ratio, tempo, swing, timing, accent, fill; /* parameters */
    bool clocked;                                     /* something is patched to the clock: no clock of its own */
    OutputSpec outputs;
} RhythmSpec;

typedef struct Hit {
    uint16_t at; /* sample in the block */
    uint8_t voice;
    bool accent;
    float velocity;
} Hit;

typedef struct Rhythm {
    const RhythmSpec *spec;
    StepClock clock;
    Tone tone;
    Decision decision;
    Pattern pattern[2];
    uint8_t played; /* which of them; the other one is decoded into */

    int64_t next_step[RHYTHM_VOICES];  /* first step not played yet */
    int64_t next_place[RHYTHM_VOICES]; /* and when it is due */
    int64_t soonest;
    int64_t last_grid; /* step of the last pulse at RHYTHM_OUT_STEP */
    float swing, timing;

    Pulses pulses;
    float velocity[RHYTHM_VOICES + 1u];
    Hit hit[RHYTHM_HITS];
    size_t hits;
    uint32_t gate_sources[PORT_MAX_BLOCK];
    float last_velocity[PORT_MAX_BLOCK];
} Rhythm;

void rhythm_init(Rhythm *rhythm, const RhythmSpec *spec);
void rhythm_reset(Rhythm *rhythm);
/* The block's hits and gates, without writing any output: what a drum plays from. */
void rhythm_advance(Rhythm *rhythm, const Panel *panel, size_t ticks);
void rhythm_outputs(const Rhythm *rhythm, const OutputSpec *outputs, const PortBlock *block);
void rhythm_render(Rhythm *rhythm, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
