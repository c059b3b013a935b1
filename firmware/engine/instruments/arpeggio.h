/* An arpeggio: a point in a space of chord progressions, played note by note on a clock.
 *
 * The decoder turns latents and attributes into scores of 16 slots (8 bars, two chords each): 12 roots, 10 qualities,
 * and whether the chord before is held. What is read off them changes only where a score wins clearly, so that noise
 * on a CV never flickers a chord. Chords are voiced by least motion; notes are whole semitones above 0 V.
 */
#ifndef VAECTROL_INSTRUMENTS_ARPEGGIO_H
#define VAECTROL_INSTRUMENTS_ARPEGGIO_H

#include "../control/panel.h"
#include "decision.h"
#include "outputs.h"
#include "step_clock.h"
#include "tone.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ARPEGGIO_SLOTS 16u
#define ARPEGGIO_ROOTS 12u
#define ARPEGGIO_QUALITIES 10u
#define ARPEGGIO_SCORES (ARPEGGIO_ROOTS + ARPEGGIO_QUALITIES + 1u)
#define ARPEGGIO_VOICES 4u
#define ARPEGGIO_PATTERNS 6u /* up down up_down converge order random */

enum { ARPEGGIO_CLOCK = 0, ARPEGGIO_RESET, ARPEGGIO_FREEZE, ARPEGGIO_GATES };
enum { ARPEGGIO_OUT_NOTE = 0, ARPEGGIO_OUT_CHANGE, ARPEGGIO_OUT_START, ARPEGGIO_OUT_SNAPPED };
enum { ARPEGGIO_OUT_MELODY = 0, ARPEGGIO_OUT_BASS, ARPEGGIO_OUT_QUANTIZED }; /* volts */

/* A compiled event decoder; generated. */
typedef struct ArpeggioModel {
    const Decoder *decoder;
    void (*result)(void *state, float scores[ARPEGGIO_SCORES][ARPEGGIO_SLOTS]);
} ArpeggioModel;

/* How many notes a quality has, and which, in semitones above its root. */
typedef struct Quality {
    uint8_t notes, note[ARPEGGIO_VOICES];
} Quality;

typedef struct ArpeggioSpec {
    const ArpeggioModel *model;
    void *state;
    ToneSpec tone; /* latents and attributes */
    float sample_rate_hz;
    const Quality *quality; /* [ARPEGGIO_QUALITIES] */
    int8_t ratio, tempo, swing, pattern, range, length, density, pace, voicing, transpose, input, snap; /* parameters */
    bool clocked; /* something is patched to the clock: no clock of its own */
    OutputSpec outputs;
} ArpeggioSpec;

typedef struct Chord {
    uint8_t root, quality;
} Chord;

typedef struct Arpeggio {
    const ArpeggioSpec *spec;
    StepClock clock;
    Tone tone;
    Decision decision;
    float scores[ARPEGGIO_SCORES][ARPEGGIO_SLOTS];
    Chord best[ARPEGGIO_SLOTS], chord[ARPEGGIO_SLOTS]; /* as the scores say; after holding */
    uint16_t held;                                     /* bit s: slot s holds the chord before it */

    int64_t next_step;  /* first step not played yet */
    int64_t chord_step; /* where the sounding chord began */
    int64_t gate_end;   /* place at which the note's gate falls */
    Chord sounding;
    bool sounds;                             /* there is a chord */
    uint8_t voices, voiced[ARPEGGIO_VOICES]; /* semitones, rising */
    bool gate;                               /* of the note */
    uint16_t gap_ticks;                      /* until it rises again */
    int16_t transpose, snapped;              /* semitones */
    float melody_volts, bass_volts, snapped_volts;

    Pulses pulses;
    uint32_t gate_sources[PORT_MAX_BLOCK];
    float melody[PORT_MAX_BLOCK], bass[PORT_MAX_BLOCK];
} Arpeggio;

void arpeggio_init(Arpeggio *arpeggio, const ArpeggioSpec *spec);
void arpeggio_reset(Arpeggio *arpeggio);
void arpeggio_render(Arpeggio *arpeggio, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
