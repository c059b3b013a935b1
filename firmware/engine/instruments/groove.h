/* A groove: the latent rhythm plays latent drums. Two models, one instrument.
 *
 * The drum model is asked for one voice after the other, without a pause. A hit begins at once, with the newest set of
 * its voice.
 */
#ifndef VAECTROL_INSTRUMENTS_GROOVE_H
#define VAECTROL_INSTRUMENTS_GROOVE_H

#include "rhythm.h"
#include "voice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GROOVE_VOICES 6u

typedef struct GrooveVoice {
    uint16_t plays;  /* bit v: voice v of the rhythm strikes it */
    uint16_t chokes; /* bit w: a hit of this voice ends voice w of the groove */
    ToneSpec tone;
    int8_t level, decay; /* parameters */
    float left, right;
} GrooveVoice;

typedef struct GrooveSpec {
    RhythmSpec rhythm;
    const HitModel *drum;
    void *state; /* of the drum model */
    uint8_t voices, players;
    const GrooveVoice *voice; /* [voices] */
    HitSet *set;              /* [voices + 1]: one for each voice, and one that is being worked out */
    int8_t level;
} GrooveSpec;

/* What sounds, and the voice it plays now. A board with time for fewer players than voices lets the
 * newest hits sound. */
typedef struct GroovePlayer {
    Voice voice;
    uint8_t plays;
} GroovePlayer;

typedef struct Groove {
    const GrooveSpec *spec;
    Rhythm rhythm;
    GroovePlayer player[GROOVE_VOICES];
    Tone tone[GROOVE_VOICES];
    Evaluation evaluation;
    uint8_t asked;                      /* the voice that is being worked out */
    HitSet *set[GROOVE_VOICES], *spare; /* of each voice the newest */
    size_t mixed;                       /* samples of this block that are */
    float mono[PORT_MAX_BLOCK];
    float mix[PORT_MAX_AUDIO][PORT_MAX_BLOCK];
} Groove;

void groove_init(Groove *groove, const GrooveSpec *spec);
void groove_reset(Groove *groove);
void groove_render(Groove *groove, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
