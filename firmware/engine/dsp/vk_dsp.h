/* Domain operators on float frames: PQMF and filtered noise. Tables come from firmware/kernelgen. */
#ifndef VAECTROL_DSP_VK_DSP_H
#define VAECTROL_DSP_VK_DSP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A cosine-modulated bank of `bands` filters of `length` taps, critically sampled, causal. `bands` is a power of
 * two from 2 to 64. Polyphase filter and fast cosine transform; within 1e-5 of the direct convolution with the bank.
 * Tables: kernelgen.pqmf.tables(prototype, bands).
 * One call turns `frames` frames [frames][bands] into frames·bands samples, or back. */
typedef struct vk_pqmf {
    const float *window;  /* the prototype, folded with its signs */
    const float *twiddle; /* of the DCT-IV */
    uint16_t bands;
    uint16_t folds; /* prototype taps / (2·bands) */
} vk_pqmf;
/* floats of state, zero at reset: a ring of frames, each twice, a spare row of zeros, and the ring's position */
#define VK_PQMF_STATE(bands, folds) ((size_t)(bands) * (4u * (size_t)(folds) + 2u) + 1u)
void vk_pqmf_synthesis(const vk_pqmf *bank, float *state, const float *subbands, size_t subbands_step, float *audio,
                       size_t frames);
void vk_pqmf_analysis(const vk_pqmf *bank, float *state, const float *audio, float *subbands, size_t subbands_step,
                      size_t frames);

/* y[n][b] = sum over k < taps of taps[n div hop][b·K + k] · noise(b, n − k). State: sample count since reset. */
typedef struct vk_noise {
    uint32_t seed;
    uint16_t bands, taps, hop;
} vk_noise;
typedef struct vk_noise_state {
    uint32_t n;
} vk_noise_state;
/* frames: of taps, each gives hop rows of `bands`. */
void vk_filtered_noise(const vk_noise *noise, vk_noise_state *state, const float *taps, size_t taps_step, float *out,
                       size_t out_step, size_t frames);

#ifdef __cplusplus
}
#endif
#endif
