/* A sound of pulses at a pitch and of noise, each through its own gains, at a loudness that is told.
 *
 * A hop of 256 samples at a time, by overlapping frames of 512 (the definition: firmware/compiler/ops/hop_ends/source_filter.py).
 * Of a hop the network says 2·bands + 1 numbers: log gains of the bands for the pulses, as many for the noise, and how
 * far the loudness may be off. What a frame is made of is done in pieces, so that their price can be spread over a whole
 * hop; when the next hop is complete, its loudness is told and the frame sounds.
 */
#ifndef VAECTROL_DSP_SOURCE_FILTER_H
#define VAECTROL_DSP_SOURCE_FILTER_H

#include <stdbool.h>

#include "ear.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VK_SOURCE_BANDS 64u /* at most */
#define VK_SOURCE_BINS (VK_HOP + 1u)

typedef struct vk_source_filter {
    const uint8_t *band; /* [257] the lower band of each bin */
    const float *upper;  /* [257] its share in the next; the rest is in the lower */
    uint32_t seed;
    uint16_t bands;
} vk_source_filter;

typedef struct vk_source_state {
    uint32_t phase; /* of half a turn that is 2^32 */
    uint32_t frame;
    float hz;
    bool sounding; /* whether a hop was asked for */
    float pulses[2u * VK_HOP];
    float made[2u * VK_HOP], tail[VK_HOP];
    float tone[VK_SOURCE_BINS + 3u], noise[VK_SOURCE_BINS + 3u], power[4];
    vk_complex bins[VK_HOP + 1u], work[VK_HOP];
} vk_source_state;

#define VK_PULSES_PIECES 10u
#define VK_GAINS_PIECES 6u
#define VK_FRAME_PIECES 8u

void vk_source_reset(vk_source_state *state);
/* Pieces, in order, of the pulses of a hop that glides to a pitch, in octaves above 220 Hz, and of their spectrum. */
void vk_source_pulses(float octaves, const vk_fft_roots *roots, vk_source_state *state, uint32_t piece);
/* Of the gains of every bin. numbers: [2·bands + 1]. */
void vk_source_gains(const vk_source_filter *filter, vk_source_state *state, const float *numbers, uint32_t piece);
/* Of the frame that both make. */
void vk_source_frame(const vk_source_filter *filter, const vk_fft_roots *roots, vk_source_state *state, uint32_t piece);
/* The sound [256] of a hop of this loudness, as vk_ear_take tells it, from the frame made last. */
void vk_source_sound(float loudness, vk_source_state *state, float *out);

#ifdef __cplusplus
}
#endif
#endif
