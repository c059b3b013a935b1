/* The latent layer's own parts, for the tests. */
#include <stddef.h>

#include "latents/latents.h"

size_t shim_bus_bytes(void) { return sizeof(LatentBus); }

/* places[steps][walkers] */
void shim_wander(size_t steps, float legs, float *places) {
    Wander wander = {0};
    for (size_t s = 0; s < steps; ++s) {
        wander_advance(&wander, legs);
        for (uint8_t w = 0; w < WANDER_WALKERS; ++w) {
            places[s * WANDER_WALKERS + w] = wander_place(&wander, w);
        }
    }
}

/* One latent; high[steps], in[steps], out[steps]; a step is a second. */
void shim_hold(size_t steps, const uint8_t *high, float glide_s, const float *in, float *out) {
    Hold hold = {0};
    for (size_t s = 0; s < steps; ++s) {
        out[s] = in[s];
        hold_process(&hold, high[s] != 0, 1u, 1.0f, glide_s, &out[s], 1);
    }
}
