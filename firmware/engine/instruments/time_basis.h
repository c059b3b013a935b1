/* Time since the trigger, as the smooth signals a drum decoder reads: gate, ramp, decays, sines and cosines.
 *
 * The same channels as the model was trained with (metadata `vaectrol.time_basis`, kind decays_and_tones), made
 * by recursion, one frame a time: a decay is a product, a tone a rotation. Over a window of 2 s the rotations
 * stray by about 1e-4 from the exact ones, the size of three steps of int16.
 */
#ifndef VAECTROL_INSTRUMENTS_TIME_BASIS_H
#define VAECTROL_INSTRUMENTS_TIME_BASIS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TIME_BASIS_DECAYS 16u
#define TIME_BASIS_TONES 64u

typedef struct TimeBasisSpec {
    float frames_per_window; /* window / frame period */
    float frames_per_fade;
    uint8_t decays, tones;
    const float *decay;    /* [decays] factor from frame to frame */
    const float *rotation; /* [tones][2] cosine and sine of the angle from frame to frame */
} TimeBasisSpec;

typedef struct TimeBasis {
    uint32_t frame;
    float decay[TIME_BASIS_DECAYS];
    float cosine[TIME_BASIS_TONES], sine[TIME_BASIS_TONES];
} TimeBasis;

static inline size_t time_basis_channels(const TimeBasisSpec *spec) {
    return 2u + spec->decays + 2u * (size_t)spec->tones;
}

/* The next frame is the one at the trigger. */
void time_basis_trigger(TimeBasis *basis, const TimeBasisSpec *spec);
/* Writes one frame, channel c to out[c · step], and goes on. Zero once the window is over. */
void time_basis_next(TimeBasis *basis, const TimeBasisSpec *spec, float *out, size_t step);

#ifdef __cplusplus
}
#endif
#endif
