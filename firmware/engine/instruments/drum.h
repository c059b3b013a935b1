/* A latent drum: one trigger, one sound, every knob a direction in what the model has learnt.
 *
 * The model is asked all the time, and anew at a hit: so a hit sounds as the panel stands when it is struck, always
 * EVALUATION_TICKS later.
 */
#ifndef VAECTROL_INSTRUMENTS_DRUM_H
#define VAECTROL_INSTRUMENTS_DRUM_H

#include "../control/panel.h"
#include "outputs.h"
#include "tone.h"
#include "voice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DRUM_VOICES 4u

/* Gate functions, as bits of Panel.level. */
enum { DRUM_TRIGGER = 0, DRUM_ACCENT, DRUM_CHOKE, DRUM_GATES };
/* Sources of outputs. */
enum { DRUM_OUT_TRIGGER = 0 };
enum { DRUM_OUT_ENVELOPE = 0 };

typedef struct DrumSpec {
    const HitModel *model;
    void *state;
    Voice *voice; /* [voices] */
    uint8_t voices;
    bool cut; /* a hit ends the one before it */
    ToneSpec tone;
    int8_t level, decay, accent; /* parameters */
    OutputSpec outputs;
} DrumSpec;

typedef struct Drum {
    const DrumSpec *spec;
    uint8_t turn;
    uint32_t since_hit; /* ticks */
    uint16_t pulse;
    float follow; /* envelope of the mix */
    Tone tone;
    Evaluation evaluation;
    HitSet set[2];   /* the one that sounds, and the one that is being worked out */
    uint8_t current; /* which is which */
    float mix[PORT_MAX_BLOCK];
    size_t mixed; /* samples of this block that are */
} Drum;

void drum_init(Drum *drum, const DrumSpec *spec);
void drum_reset(Drum *drum);
void drum_render(Drum *drum, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
