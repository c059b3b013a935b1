/* Fast Fourier transforms of 512 and 1024 real samples, by complex ones of half the size. */
#ifndef VAECTROL_DSP_FFT_H
#define VAECTROL_DSP_FFT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VK_FFT_ROOTS 1024u

/* Roots of unity: exp(−2πi·k / 1024), k < 1024; and a window sin(π/2·sin²(πn / 512)), n < 512, whose squares add up to 1
 * where two overlap by half (that of Vorbis). */
typedef struct vk_fft_roots {
    float re[VK_FFT_ROOTS], im[VK_FFT_ROOTS];
    float window[VK_FFT_ROOTS / 2u];
} vk_fft_roots;

typedef struct vk_complex {
    float re, im;
} vk_complex;

void vk_fft_begin(vk_fft_roots *roots);
/* Where element n of `half` = 2^bits must lie before a transform. */
static inline uint32_t vk_fft_place(uint32_t n, uint32_t bits) {
#if defined(__clang__)
    return __builtin_bitreverse32(n) >> (32u - bits);
#else
    uint32_t place = 0;
    for (uint32_t b = 0; b < bits; b++) {
        place = place << 1 | (n >> b & 1u);
    }
    return place;
#endif
}
/* In place, of 2^bits elements that lie bit-reversed, pass by pass; bits is 8 or 9. */
#define VK_FFT_PASSES(bits) (((bits) + 1u) / 2u)
void vk_fft_pass(const vk_fft_roots *roots, vk_complex *z, uint32_t bits, uint32_t pass);
/* From z[n] = x[2n] + i·x[2n + 1], transformed, to the spectrum of x: bin `half` is written to z[half]. */
void vk_fft_split(const vk_fft_roots *roots, vk_complex *z, uint32_t bits);
/* And back: bins 0 … half of a real signal become, in `out` and bit-reversed, what a transform turns into the signal
 * times 2·half with its halves swapped: x[2n] is the imaginary part of element n, x[2n + 1] the real one. */
void vk_fft_join(const vk_fft_roots *roots, const vk_complex *bins, vk_complex *out, uint32_t bits);

#ifdef __cplusplus
}
#endif
#endif
