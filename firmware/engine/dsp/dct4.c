/* The DCT of type IV by a complex FFT of half its size (Malvar, "Signal Processing with Lapped Transforms", 1992). */
#include "dct4.h"

#define USUAL 16u /* bands of the models' banks */

typedef struct complex_float {
    float re, im;
} complex_float;

static inline complex_float times(complex_float a, const float *w) {
    return (complex_float){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

static void dct4_of(const float *twiddle, const size_t size, const float *x, float *y) {
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

static inline void butterfly(complex_float *a, complex_float *b) {
    const complex_float sum = {a->re + b->re, a->im + b->im}, difference = {a->re - b->re, a->im - b->im};
    *a = sum;
    *b = difference;
}

/* by the root −i */
static inline complex_float turned(complex_float a) { return (complex_float){a.im, -a.re}; }

/* The same for 16 numbers, all in registers, without multiplications by 1 and −i. */
static void dct4_usual(const float *twiddle, const float *x, float *y) {
#define PAIR(n) times((complex_float){x[2u * (n)], x[USUAL - 1u - 2u * (n)]}, twiddle + 2u * (n))
#define OUT(k, z)                                                                                                      \
    do {                                                                                                               \
        const complex_float u = times(z, twiddle + 2u * (k));                                                          \
        y[2u * (k)] = u.re;                                                                                            \
        y[USUAL - 1u - 2u * (k)] = -u.im;                                                                              \
    } while (0)
    const float *roots = twiddle + USUAL;
    complex_float a = PAIR(0), b = PAIR(4);
    butterfly(&a, &b);
    complex_float c = PAIR(2), d = PAIR(6);
    butterfly(&c, &d);
    d = turned(d);
    butterfly(&a, &c);
    butterfly(&b, &d);
    complex_float e = PAIR(1), f = PAIR(5);
    butterfly(&e, &f);
    complex_float g = PAIR(3), h = PAIR(7);
    butterfly(&g, &h);
    h = turned(h);
    butterfly(&e, &g);
    butterfly(&f, &h);
    butterfly(&a, &e);
    OUT(0, a);
    OUT(4, e);
    f = times(f, roots + 2);
    butterfly(&b, &f);
    OUT(1, b);
    OUT(5, f);
    g = turned(g);
    butterfly(&c, &g);
    OUT(2, c);
    OUT(6, g);
    h = times(h, roots + 6);
    butterfly(&d, &h);
    OUT(3, d);
    OUT(7, h);
#undef PAIR
#undef OUT
}

void dct4(const float *twiddle, size_t size, const float *x, float *y) {
    if (size == USUAL) {
        dct4_usual(twiddle, x, y);
    } else {
        dct4_of(twiddle, size, x, y);
    }
}
