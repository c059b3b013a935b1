/* The DCT of type IV by a complex FFT of half its size. */
#ifndef VAECTROL_DSP_DCT4_H
#define VAECTROL_DSP_DCT4_H

#include <stddef.h>

#define DCT4_MAX 64u

/* y[k] = sum over n < size of x[n]·cos((2k+1)(2n+1)·pi/(4·size)); size a power of two, 2 to DCT4_MAX.
 * twiddle: size/2 pairs (cos, sin) of -(8n+1)·pi/(8·size), then size/4 of -2·pi·n/(size/2). x and y are apart. */
void dct4(const float *twiddle, size_t size, const float *x, float *y);
#endif
