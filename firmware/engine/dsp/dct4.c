/* The DCT of type IV by a complex FFT of half its size (Malvar, "Signal Processing with Lapped Transforms", 1992). */
#include "dct4.h"

#define USUAL 16u /* bands of the models' banks: its loops are unrolled */

typedef struct complex_float {
    float re, im;
} complex_float;

static inline complex_float times(complex_float a, const float *w) {
    return (complex_float){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

static inline __attribute__((always_inline)) void dct4_of(const float *twiddle, const size_t size, const float *x,
                                                          float *y) {
    complex_float z[DCT4_MAX / 2u];
    const size_t half = size / 2u;
    for (size_t n = 0, reversed = 0; n < half; n++) {
        const complex_float pair = {x[2u * n], x[size - 1u - 2u * n]};
        z[reversed] = times(pair, twiddle + 2u * n);
        size_t bit = half >> 1; /* count upwards with the bits in reverse */
        while (reversed & bit) {
            reversed ^= bit;
            bit >>= 1;
        }
        reversed |= bit;
    }
    const float *roots = twiddle + size;
    for (size_t span = 1; span < half; span *= 2u) {
        const size_t step = half / (2u * span);
        for (size_t j = 0; j < span; j++) {
            const float *w = roots + 2u * j * step;
            for (size_t i = j; i < half; i += 2u * span) {
                const complex_float b = times(z[i + span], w), a = z[i];
                z[i] = (complex_float){a.re + b.re, a.im + b.im};
                z[i + span] = (complex_float){a.re - b.re, a.im - b.im};
            }
        }
    }
    for (size_t k = 0; k < half; k++) {
        const complex_float u = times(z[k], twiddle + 2u * k);
        y[2u * k] = u.re;
        y[size - 1u - 2u * k] = -u.im;
    }
}

void dct4(const float *twiddle, size_t size, const float *x, float *y) {
    if (size == USUAL) {
        dct4_of(twiddle, USUAL, x, y);
    } else {
        dct4_of(twiddle, size, x, y);
    }
}
