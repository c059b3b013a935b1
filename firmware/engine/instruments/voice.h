/* One neural drum hit: a decoder that is told how long ago it was struck.
 *
 * A trigger starts the model from zero at that very sample; what the hit before it left in the air is faded, so
 * that nothing clicks. While the hit sounds, latents and knobs keep moving it.
 */
#ifndef VAECTROL_INSTRUMENTS_VOICE_H
#define VAECTROL_INSTRUMENTS_VOICE_H

#include "../port.h"
#include "time_basis.h"
#include "tone.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VOICE_FRAMES 8u  /* a block of 256 at a hop of 48 takes at most 6 */
#define VOICE_TIMES 160u /* channels of the time basis */

/* Frames for one call of the model; channel c of frame f at [c · VOICE_FRAMES + f]. */
typedef struct VoiceFrames {
    float latent[TONE_LATENTS * VOICE_FRAMES];
    float knob[TONE_KNOBS * VOICE_FRAMES];
    float time[VOICE_TIMES * VOICE_FRAMES];
    float audio[PORT_MAX_BLOCK];
} VoiceFrames;

/* A compiled drum decoder; generated. */
typedef struct VoiceModel {
    uint16_t hop;         /* samples per frame */
    uint16_t tail_frames; /* after the window, until its rings have run out */
    const TimeBasisSpec *time;
    void (*reset)(void *state, uint32_t noise_seed);
    size_t (*frames_due)(const void *state, size_t ticks);
    void (*process)(void *state, size_t ticks, VoiceFrames *frames); /* frames->audio: the result */
} VoiceModel;

typedef struct Voice {
    const VoiceModel *model;
    void *state;
    bool active;
    uint32_t age_ticks, hits;
    TimeBasis basis;
    float envelope;        /* level of the hit, decaying */
    float fade, fade_step; /* choking: fade falls from 1 to 0 */
    float last, declick;   /* last output; what a cut left, running out */
    size_t rendered;       /* samples of this block that have sounded */
    uint32_t wait_ticks;   /* until the model begins */
} Voice;

void voice_init(Voice *voice, const VoiceModel *model, void *state);
void voice_reset(Voice *voice);
/* A hit. What sounded is cut, and the model begins one frame later, always: so a block in which a drum is struck again
 * has no more frames to compute than any other, and every hit comes as late as the next. */
void voice_trigger(Voice *voice, float gain);
void voice_choke(Voice *voice);

/* Where a voice is heard: the model's scratch, and a block of `ticks` samples that it adds itself to. */
typedef struct VoicePlace {
    VoiceFrames *frames;
    float *out;
    size_t ticks;
} VoicePlace;

/* Sounds on up to sample `end` of the block; every voice goes to the end of every block.
 * decay: share of the level that is lost per sample. */
void voice_render(Voice *voice, const ToneSpec *spec, const Tone *tone, float decay, VoicePlace place, size_t end);

#ifdef __cplusplus
}
#endif
#endif
