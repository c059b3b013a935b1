/* One drum hit: modes, banded noise and a transient, as the network says they are.
 *
 * What the hit before it left in the air is faded, so that nothing clicks. While the hit sounds, latents and knobs keep
 * moving it: every frame of 1 ms is made of the newest set.
 */
#ifndef VAECTROL_INSTRUMENTS_VOICE_H
#define VAECTROL_INSTRUMENTS_VOICE_H

#include "../port.h"
#include "hit.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct Voice {
    const HitSound *sound;
    bool active;
    bool waiting;       /* struck, and its set is not ready */
    uint32_t age_ticks; /* since it was struck */
    uint32_t hits;
    uint32_t frame, place; /* the frame that sounds, and the samples of it that have sounded */
    uint32_t point;        /* of the time grid, before this frame */
    float envelope;        /* level of the hit, decaying */
    float fade, fade_step; /* choking: fade falls from 1 to 0 */
    float last, declick;   /* last output; what a cut left, running out */
    bool over;             /* nothing follows this frame */
    vk_mode_state mode[VK_MODES];
    vk_band_state noise;
    float transient[HIT_TRANSIENT]; /* that of its stroke, whatever comes after */
    float made[VK_HIT_FRAME];
} Voice;

void voice_init(Voice *voice, const HitSound *sound);
void voice_reset(Voice *voice);
/* A hit: what sounded is cut, and it waits for its set. */
void voice_trigger(Voice *voice, float gain);
/* The set is ready: it begins. */
void voice_start(Voice *voice, const HitSet *set);
void voice_choke(Voice *voice);
/* Adds `ticks` samples to out. decay: share of the level that is lost per sample. */
void voice_render(Voice *voice, const HitSet *set, float decay, float *out, size_t ticks);

#ifdef __cplusplus
}
#endif
#endif
