/* When a model of whole patterns is asked: as a control moves, a slice of it per callback, one question at a time.
 *
 * The result is taken in a callback of its own. Until the first one is there nothing sounds, and slices are longer.
 */
#ifndef VAECTROL_INSTRUMENTS_DECISION_H
#define VAECTROL_INSTRUMENTS_DECISION_H

#include "tone.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A compiled event decoder, but for its result; generated. */
typedef struct Decoder {
    void (*reset)(void *state);
    void (*begin)(void *state, const float *latents, const float *knobs);
    bool (*step)(void *state, uint32_t cycles); /* a slice of about so many; true: that was the last */
} Decoder;

typedef struct Decision {
    const Decoder *decoder;
    void *state;
    float asked[TONE_LATENTS + TONE_KNOBS]; /* what the result was decoded from */
    bool deciding, decided, playable;       /* a decode is under way; it waits to be taken; one was taken */
} Decision;

void decision_init(Decision *decision, const Decoder *decoder, void *state);
/* One callback's work, after tone_update; whether the caller takes a result now. While it is frozen, none but the first
 * is asked for or taken. */
bool decision_advance(Decision *decision, const Tone *tone, const ToneSpec *spec, bool frozen, size_t ticks);

#ifdef __cplusplus
}
#endif
#endif
