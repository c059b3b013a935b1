/* Harmonics of one pitch whose levels change: a sum of sines, a frame of 48 samples at a time.
 *
 *     y[i] = Σ_k (a_k + (a'_k − a_k) · i / 48) · sin(2π · k · φ_i / 2^32),   φ_i = φ_{i−1} + s + ⌊(s' − s) / 48⌋₀ · i
 *
 * from levels a and the step s at the frame's begin to a' and s' at its end (the definition:
 * firmware/compiler/ops/hop_ends/harmonic_bank.py). The phase is a whole number, so that it is the same everywhere;
 * harmonics fade between 0.42 and 0.47 of the sample rate. The sum is Clenshaw's (1955), from the highest harmonic down.
 */
#ifndef VAECTROL_DSP_HARMONICS_H
#define VAECTROL_DSP_HARMONICS_H

#include <stdint.h>

#include "modes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VK_HARMONICS 64u /* at most */

typedef struct vk_harmonics_state {
    uint32_t phase, step;                           /* of a turn that is 2^32; per sample */
    uint32_t sounding;                              /* harmonics up to the highest that sounds */
    float level[VK_HARMONICS], slope[VK_HARMONICS]; /* at the frame's begin; per sample */
} vk_harmonics_state;

/* Levels on the way from one set to another, `part` of it gone, before what is too high fades. */
typedef struct vk_harmonics_asked {
    const float *older, *newer; /* [count], a multiple of 4 */
    float part;
    uint32_t count;
} vk_harmonics_asked;

void vk_harmonics_reset(vk_harmonics_state *state, uint32_t step);
/* exp(clamp(log + offset, −14, 1)), 0 where that is ≤ −13.9; level: [count], rounded up to a multiple of 4. */
void vk_harmonics_levels(float offset, const float *log, float *level, uint32_t count);
/* Adds a frame to out[48]; asked and step: at its end. Whether anything sounds there. */
bool vk_harmonics_frame(const vk_harmonics_asked *asked, vk_harmonics_state *state, uint32_t step, float *out);

#ifdef __cplusplus
}
#endif
#endif
