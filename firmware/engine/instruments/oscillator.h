/* An oscillator that follows one volt per octave, whose timbre a network says.
 *
 * One to four voices (oscillator_voice.h) are told the same hands. The first gate plays notes in turn, each on the next
 * voice, or a chord on all of them; every other voice has a gate and a pitch of its own too. Blocks change nothing but
 * when controls are read.
 *
 * Of several voices the noise is made once: independent noises add up by their power, band for band.
 */
#ifndef VAECTROL_INSTRUMENTS_OSCILLATOR_H
#define VAECTROL_INSTRUMENTS_OSCILLATOR_H

#include "oscillator_voice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    OSCILLATOR_GATE = 0,
    OSCILLATOR_ACCENT,
    OSCILLATOR_GATE_2,
    OSCILLATOR_GATE_3,
    OSCILLATOR_GATE_4,
    OSCILLATOR_GATES
};
enum { OSCILLATOR_OUT_NOTE = 0 };
enum { OSCILLATOR_OUT_ENVELOPE = 0, OSCILLATOR_OUT_PITCH }; /* volts */
enum { OSCILLATOR_OUT_MIX = 0, OSCILLATOR_OUT_LEFT, OSCILLATOR_OUT_RIGHT };
#define OSCILLATOR_CHORDS 12u

typedef struct Oscillator {
    const OscillatorSpec *spec;
    Tone tone;
    uint32_t rises;                     /* gates that rose since the last quarter */
    uint8_t led;                        /* bit v: voice v plays the note of the first gate */
    bool together;                      /* that note is a chord, or in unison */
    uint8_t last;                       /* the voice that was struck last */
    uint32_t notes;                     /* so far */
    uint32_t begun[OSCILLATOR_VOICES];  /* which of them a voice plays or played */
    uint16_t own_ms[OSCILLATOR_VOICES]; /* for which the first gate leaves a voice alone */
    uint32_t place;                     /* samples of the quarter that have sounded */
    vk_band_state bands;
    float made[2][VK_HIT_FRAME]; /* left and right; of one voice, the left is all */
} Oscillator;

void oscillator_init(Oscillator *oscillator, const OscillatorSpec *spec);
void oscillator_reset(Oscillator *oscillator);
void oscillator_render(Oscillator *oscillator, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
