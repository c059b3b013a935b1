/* Time since the trigger, as the smooth signals a drum decoder reads. */
#include "time_basis.h"

#include "../control/bound.h"

void time_basis_trigger(TimeBasis *basis, const TimeBasisSpec *spec) {
    basis->frame = 0;
    for (uint8_t i = 0; i < spec->decays; ++i) {
        basis->decay[i] = 1.0f;
    }
    for (uint8_t i = 0; i < spec->tones; ++i) {
        basis->cosine[i] = 1.0f;
        basis->sine[i] = 0.0f;
    }
}

void time_basis_next(TimeBasis *basis, const TimeBasisSpec *spec, float *out, size_t step) {
    const float frame = (float)basis->frame;
    if (frame >= spec->frames_per_window) {
        const size_t channels = time_basis_channels(spec);
        for (size_t i = 0; i < channels; ++i) {
            out[i * step] = 0.0f;
        }
        return;
    }
    out[0] = bound_unit((spec->frames_per_window - frame) / spec->frames_per_fade);
    out[step] = frame / spec->frames_per_window;
    float *restrict to = out + 2u * step;
    for (uint8_t i = 0; i < spec->decays; ++i, to += step) {
        *to = basis->decay[i];
        basis->decay[i] *= spec->decay[i];
    }
    float *restrict sine = basis->sine, *restrict cosine = basis->cosine;
    const float *rotation = spec->rotation;
    const size_t to_cosine = spec->tones * step;
    for (uint8_t i = 0; i < spec->tones; ++i, to += step, rotation += 2) {
        const float c = cosine[i], s = sine[i];
        to[0] = s;
        to[to_cosine] = c;
        cosine[i] = c * rotation[0] - s * rotation[1];
        sine[i] = s * rotation[0] + c * rotation[1];
    }
    ++basis->frame;
}
