/* The pitch tracker: a period and a voicing once a hop of 256 samples, at the same price whatever is heard.
 *
 * YIN (de Cheveigné and Kawahara 2002) at 6 kHz; its sums are not taken over a window: those of each hop are added to
 * what is left of the older ones. The numpy twin, which says every number, is common/pitch.py.
 */
#ifndef VAECTROL_DSP_PITCH_H
#define VAECTROL_DSP_PITCH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VK_PITCH_TAPS 96u
#define VK_PITCH_BLOCK 32u /* samples at 6 kHz of a hop */
#define VK_PITCH_LAGS 200u
#define VK_PITCH_OLD (VK_PITCH_TAPS - 8u) /* samples before a hop that are heard once more */

typedef struct vk_pitch_state {
    float low[VK_PITCH_LAGS + VK_PITCH_BLOCK]; /* at 6 kHz */
    float products[VK_PITCH_LAGS + 1u], energies[VK_PITCH_LAGS + 1u];
    float period, voicing;
} vk_pitch_state;

void vk_pitch_reset(vk_pitch_state *state);
#define VK_PITCH_PIECES 8u
/* Piece 0 … VK_PITCH_PIECES − 1, in order, of tracking a hop. taps: [96]; audio: [88 + 256], the hop last. After the last
 * the state holds period, in samples at 6 kHz, and voicing, 0 to 1. */
void vk_pitch_track(const float *taps, vk_pitch_state *state, const float *audio, uint32_t piece);

#ifdef __cplusplus
}
#endif
#endif
