/* One voice of an oscillator: it follows a pitch and a gate, and a network says its timbre.
 *
 * Every 192 samples the network is told pitch, loudness, gate, the note's age and the latents, and says how loud the
 * harmonics and the bands of noise are. Alone it works at that in four quarters of 48 samples, and its answer sounds
 * from the fourth on. A rising gate begins anew at the next quarter, so that a note sounds 3 to 4 ms after it; until
 * then what sounded goes on at the pitch it had.
 *
 * Several voices take turns: of four, one does its whole frame in a quarter. Notes that begin come first, so that four
 * at once sound 0 to 4 ms after their gates, and no quarter has more work than another.
 *
 * How a note's loudness moves, five numbers say; or a second network (expression.h), which works before the first.
 */
#ifndef VAECTROL_INSTRUMENTS_OSCILLATOR_VOICE_H
#define VAECTROL_INSTRUMENTS_OSCILLATOR_VOICE_H

#include "../control/panel.h"
#include "../dsp/bands.h"
#include "../dsp/harmonics.h"
#include "expression.h"
#include "note.h"
#include "outputs.h"
#include "tone.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OSCILLATOR_LATENTS 16u
#define OSCILLATOR_CONTROLS (4u + NOTE_AGES) /* octaves, bend, loudness, gate, ages */
#define OSCILLATOR_TICKS 64u                 /* into which the network's work on a frame is cut */
#define OSCILLATOR_CALLS 8u                  /* of the network that says loudness, in a frame, a tick each */
#define OSCILLATOR_QUARTERS 4u
#define OSCILLATOR_HABITS 5u
#define OSCILLATOR_VOICES 4u
#define OSCILLATOR_C2 (-1.75f) /* octaves above 220 Hz: what 0 V is */

enum { OSCILLATOR_PEAK = 0, OSCILLATOR_DEPTH, OSCILLATOR_ATTACK, OSCILLATOR_DECAY, OSCILLATOR_RELEASE };

/* A compiled decoder; generated. Of a frame's ticks the first reads what goes in, the last writes what comes out. */
typedef struct OscillatorModel {
    vk_bands bands;
    uint32_t seed;
    uint16_t harmonics;
    const float
        *habit; /* [OSCILLATOR_HABITS][latents + 3] how loudness moves: by latents, octaves, their square, and 1 */
    void (*reset)(void *state);
    void (*process)(void *state, uint8_t ticks, const float *latent, const float *control, float *numbers);
} OscillatorModel;

typedef struct OscillatorVoice OscillatorVoice;

typedef struct OscillatorSpec {
    const OscillatorModel *model;
    const ExpressionModel *expression; /* NULL: habits */
    OscillatorVoice *voice;            /* [voices] */
    uint8_t voices, harmonics;         /* those of the model, or fewer; a multiple of 4 */
    void *state[OSCILLATOR_VOICES], *expression_state[OSCILLATOR_VOICES]; /* of each voice's networks */
    ToneSpec tone;                                                        /* latents */
    int8_t tune, fine, glide, dynamics, attack, decay, release, vibrato, rate, breath, level; /* parameters */
    int8_t velocity, life, event, manner; /* parameters; of manner the first */
    int8_t pitch[OSCILLATOR_VOICES];      /* parameters: volts of each jack */
    int8_t chord, spread, width;          /* parameters, where there are several voices */
    OutputSpec outputs;
} OscillatorSpec;

/* What all voices of an oscillator are told alike. */
typedef struct OscillatorHands {
    const OscillatorSpec *spec;
    const Panel *panel;
    const Tone *tone;
    float share; /* of the block that has passed */
    bool accent;
} OscillatorHands;

struct OscillatorVoice {
    uint8_t number;
    bool gate;                  /* now */
    bool struck;                /* its gate rose since the last quarter */
    float asked, apart;         /* octaves above 220 Hz; what lies between them and this voice's own */
    uint8_t done, owed;         /* ticks of the frame that is worked at; ticks until the next answer */
    uint8_t left;               /* quarters in which it is to be ready */
    uint8_t part;               /* quarters of the way from the older levels to the newer ones */
    uint8_t rested;             /* quarters since its last frame was begun */
    bool waits, waited;         /* the note that began is not heard yet; as it was before this quarter's work */
    bool fresh;                 /* the frame worked at is the first of its note */
    bool sounds;                /* a note was begun and has not died */
    float accented, velocity;   /* dB, of the note; the second from −1 to 1 where a network says the loudness */
    float octaves, heard, told; /* pitch after glide; of what sounds; as the network was told last */
    float vibrato, swell;       /* its phase in turns; how far it has come in, 0 … 1 */
    float age[NOTE_AGES];       /* exp(−time / a) */
    float behind;               /* dB that the attack is short of the peak */
    float fallen;               /* dB that decay and release have taken */
    float habit[OSCILLATOR_HABITS];
    float loudness, envelope; /* dB of the frame worked at; of the one heard, amplitude */
    float offset;             /* log of the level of the frame worked at */
    bool first;               /* the frame worked at began as the first of its note */
    float beside[2];          /* octaves beside the note's, at the end of the older levels and of the newer ones */
    Expression expression;
    ExpressionHands hands;
    float manner[EXPRESSION_LATENTS];
    float latent[OSCILLATOR_LATENTS], control[OSCILLATOR_CONTROLS];
    float numbers[VK_HARMONICS + VK_BANDS];
    float level[2][VK_HARMONICS], noise[2][VK_BANDS]; /* older and newer */
    float power[2][VK_BANDS];                         /* of that noise, where it is added to others' */
    uint8_t newer;
    vk_harmonics_state harmonics;
};

void oscillator_voice_reset(OscillatorVoice *voice, const OscillatorSpec *spec, uint8_t number);
/* The work of a quarter, of all voices. */
void oscillator_voices_work(const OscillatorHands *hands);
/* Adds the harmonics of that quarter to made[48]. */
void oscillator_voice_sound(OscillatorVoice *voice, const OscillatorHands *hands, float *made);
/* Logs of its noise at the end of it; the power of it, added to power[VK_BANDS]. */
vk_band_gains oscillator_voice_noise(const OscillatorVoice *voice);
void oscillator_voice_add_noise(const OscillatorVoice *voice, uint32_t bands, float *power);

#ifdef __cplusplus
}
#endif
#endif
