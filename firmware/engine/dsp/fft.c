/* Radix 4, decimation in time (Cooley and Tukey 1965); real signals as in Press et al., "Numerical Recipes". */
#include "fft.h"

#include "quick.h"

/* Apart, for both tables ask for it, and at a start its time is no matter. */
static __attribute__((noinline)) void roots_of(f4 turns, f4 *cosines, f4 *sines) { quick_turn(turns, cosines, sines); }

void vk_fft_begin(vk_fft_roots *roots) {
    f4 c, s;
    ROLLED
    for (uint32_t k = 0; k < VK_FFT_ROOTS; k += 4u) {
        const f4 turns = {(float)k, (float)(k + 1u), (float)(k + 2u), (float)(k + 3u)};
        roots_of(product(turns, all(1.0f / (float)VK_FFT_ROOTS)), &c, &s);
        FOUR {
            roots->re[k + j] = c[j];
            roots->im[k + j] = -s[j];
        }
    }
    ROLLED
    for (uint32_t n = 0; n < VK_FFT_ROOTS / 2u; n += 4u) {
        const f4 sine = {roots->im[n], roots->im[n + 1u], roots->im[n + 2u], roots->im[n + 3u]};
        roots_of(product(product(sine, sine), all(0.25f)), &c, &s);
        FOUR { roots->window[n + j] = s[j]; }
    }
}

static inline vk_complex times(vk_complex a, float re, float im) {
    return (vk_complex){a.re * re - a.im * im, a.re * im + a.im * re};
}

static inline vk_complex plus(vk_complex a, vk_complex b) { return (vk_complex){a.re + b.re, a.im + b.im}; }

static inline vk_complex minus(vk_complex a, vk_complex b) { return (vk_complex){a.re - b.re, a.im - b.im}; }

/* Four elements whose second, third and fourth are already turned. */
static inline void four(vk_complex *z, uint32_t span, vk_complex b, vk_complex c, vk_complex d) {
    const vk_complex a = z[0];
    const vk_complex ab = plus(a, b), a_b = minus(a, b), cd = plus(c, d), c_d = minus(c, d);
    z[0] = plus(ab, cd);
    z[2u * span] = minus(ab, cd);
    z[span] = (vk_complex){a_b.re + c_d.im, a_b.im - c_d.re};
    z[3u * span] = (vk_complex){a_b.re - c_d.im, a_b.im + c_d.re};
}

void vk_fft_pass(const vk_fft_roots *roots, vk_complex *z, uint32_t bits, uint32_t pass) {
    const uint32_t size = 1u << bits, odd = bits & 1u;
    if (odd && pass == 0u) {
        for (uint32_t i = 0; i < size; i += 2u) {
            const vk_complex a = z[i], b = z[i + 1u];
            z[i] = plus(a, b);
            z[i + 1u] = minus(a, b);
        }
        return;
    }
    const uint32_t span = 1u << (2u * pass - odd), step = VK_FFT_ROOTS / (4u * span);
    for (uint32_t j = 0; j < span; j++) {
        const uint32_t w = j * step;
        const float re1 = roots->re[w], im1 = roots->im[w], re2 = roots->re[2u * w], im2 = roots->im[2u * w];
        const float re3 = roots->re[3u * w], im3 = roots->im[3u * w];
        for (uint32_t i = j; i < size; i += 4u * span) {
            four(z + i, span, times(z[i + span], re2, im2), times(z[i + 2u * span], re1, im1),
                 times(z[i + 3u * span], re3, im3));
        }
    }
}

void vk_fft_split(const vk_fft_roots *roots, vk_complex *z, uint32_t bits) {
    const uint32_t half = 1u << bits, step = VK_FFT_ROOTS / (2u * half);
    const vk_complex first = z[0];
    z[0] = (vk_complex){first.re + first.im, 0.0f};
    z[half] = (vk_complex){first.re - first.im, 0.0f};
    for (uint32_t k = 1; k <= half / 2u; k++) {
        const vk_complex a = z[k], b = {z[half - k].re, -z[half - k].im};
        const vk_complex even = plus(a, b), odd = minus(a, b);
        /* −i times the root */
        const vk_complex turned = times(odd, roots->im[k * step], -roots->re[k * step]);
        z[k] = (vk_complex){0.5f * (even.re + turned.re), 0.5f * (even.im + turned.im)};
        z[half - k] = (vk_complex){0.5f * (even.re - turned.re), 0.5f * (turned.im - even.im)};
    }
}

void vk_fft_join(const vk_fft_roots *roots, const vk_complex *bins, vk_complex *out, uint32_t bits) {
    const uint32_t half = 1u << bits, step = VK_FFT_ROOTS / (2u * half);
    for (uint32_t k = 0; k < half; k++) {
        const vk_complex a = bins[k], b = {bins[half - k].re, -bins[half - k].im};
        const vk_complex even = plus(a, b), odd = minus(a, b);
        /* i over the root */
        const vk_complex turned = times(odd, roots->im[k * step], roots->re[k * step]);
        out[vk_fft_place(k, bits)] = (vk_complex){even.im + turned.im, even.re + turned.re};
    }
}
