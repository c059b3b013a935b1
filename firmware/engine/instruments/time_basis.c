/* Time since the trigger, as the smooth signals a drum decoder reads. */
#include "time_basis.h"

#include "../control/bound.h"

void time_basis_trigger(TimeBasis *basis, const TimeBasisSpec *spec)
{
    basis->frame = 0;
    for (uint8_t i = 0; i < spec->decays; ++i) {
        basis->decay[i] = 1.0f;
    }
    for (uint8_t i = 0; i < spec->tones; ++i) {
        basis->cosine[i] = 1.0f;
        basis->sine[i] = 0.0f;
    }
}

void time_basis_next(TimeBasis *basis, const TimeBasisSpec *spec, float *out, size_t step)
{
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
    float *decay = out + 2u * step;
    for (uint8_t i = 0; i < spec->decays; ++i) {
        decay[i * step] = basis->decay[i];
        basis->decay[i] *= spec->decay[i];
    }
    float *sine = decay + spec->decays * step;
    float *cosine = sine + spec->tones * step;
    for (uint8_t i = 0; i < spec->tones; ++i) {
        const float c = basis->cosine[i];
        const float s = basis->sine[i];
        const float rotation_c = spec->rotation[2u * i];
        const float rotation_s = spec->rotation[2u * i + 1u];
        cosine[i * step] = bound(c, -1.0f, 1.0f);
        sine[i * step] = bound(s, -1.0f, 1.0f);
        basis->cosine[i] = c * rotation_c - s * rotation_s;
        basis->sine[i] = s * rotation_c + c * rotation_s;
    }
    ++basis->frame;
}
