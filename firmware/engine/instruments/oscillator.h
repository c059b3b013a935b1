/* An oscillator that follows one volt per octave, whose timbre a network says.
 *
 * Every 192 samples the network is told pitch, loudness, gate, the note's age and the latents, and says how loud the
 * harmonics and the bands of noise are. It works at that in four quarters of 48 samples, and its answer sounds from the
 * fourth on. A rising gate begins anew at the next quarter, so that a note sounds 3 to 4 ms after it; until then what
 * sounded goes on at the pitch it had. Blocks change nothing but when controls are read.
 *
 * How a note's loudness moves, five numbers say; or a second network (expression.h), which works before the first.
 */
#ifndef VAECTROL_INSTRUMENTS_OSCILLATOR_H
#define VAECTROL_INSTRUMENTS_OSCILLATOR_H

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

enum { OSCILLATOR_GATE = 0, OSCILLATOR_ACCENT, OSCILLATOR_GATES };
enum { OSCILLATOR_OUT_NOTE = 0 };
enum { OSCILLATOR_OUT_ENVELOPE = 0, OSCILLATOR_OUT_PITCH }; /* volts */
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

typedef struct OscillatorSpec {
    const OscillatorModel *model;
    void *state;
    const ExpressionModel *expression; /* NULL: habits */
    void *expression_state;
    ToneSpec tone;                                                                                   /* latents */
    int8_t pitch, tune, fine, glide, dynamics, attack, decay, release, vibrato, rate, breath, level; /* parameters */
    int8_t velocity, life, event, manner; /* parameters; of manner the first */
    OutputSpec outputs;
} OscillatorSpec;

typedef struct Oscillator {
    const OscillatorSpec *spec;
    Tone tone;
    float share;                /* of the block that has passed */
    uint8_t done, owed;         /* ticks of the frame that is worked at; ticks until the next answer */
    uint8_t left;               /* quarters in which it is to be ready */
    uint8_t part;               /* quarters of the way from the older levels to the newer ones */
    bool gate, accent;          /* now */
    bool struck;                /* the gate rose since the last quarter */
    bool waits;                 /* the note that began is not heard yet */
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
    uint8_t newer;
    uint32_t place; /* samples of the quarter that have sounded */
    vk_harmonics_state harmonics;
    vk_band_state bands;
    float made[VK_HIT_FRAME];
} Oscillator;

void oscillator_init(Oscillator *oscillator, const OscillatorSpec *spec);
void oscillator_reset(Oscillator *oscillator);
void oscillator_render(Oscillator *oscillator, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
