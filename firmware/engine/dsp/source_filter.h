/* A sound of pulses at a pitch and of noise, each through its own gains, at a loudness that is told.
 *
 * A hop of 256 samples at a time, by overlapping frames of 512 (the definition: firmware/compiler/ops/hop_ends/source_filter.py).
 * Of a hop the network says 2·bands + 1 numbers: log gains of the bands for the pulses, as many for the noise, and how
 * far the loudness may be off. It is done in three steps of about the same price, so that they can be spread.
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

/* What is asked for: octaves above 220 Hz, and the loudness as vk_ear_hear tells it. */
typedef struct vk_source_control {
    float octaves, loudness;
} vk_source_control;

typedef struct vk_source_state {
    uint32_t phase; /* of half a turn that is 2^32 */
    uint32_t frame;
    float hz;
    bool sounding; /* whether a hop was asked for */
    float pulses[2u * VK_HOP];
    float tail[VK_HOP];
    float tone[VK_SOURCE_BINS + 3u], noise[VK_SOURCE_BINS + 3u];
    vk_complex bins[VK_HOP + 1u], work[VK_HOP];
} vk_source_state;

void vk_source_reset(vk_source_state *state);
/* The pulses of a hop that glides to the pitch asked for, and their spectrum. */
void vk_source_pulses(const vk_fft_roots *roots, vk_source_state *state, const vk_source_control *control);
/* The gains of every bin. numbers: [2·bands + 1]. */
void vk_source_gains(const vk_source_filter *filter, vk_source_state *state, const vk_source_control *control,
                     const float *numbers);
/* The sound of the hop: [256]. */
void vk_source_sound(const vk_source_filter *filter, const vk_fft_roots *roots, vk_source_state *state, float *out);

#ifdef __cplusplus
}
#endif
#endif
