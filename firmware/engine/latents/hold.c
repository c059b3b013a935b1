/* A gate holds latents where they are; when it falls they glide back to what moves them. */
#include "hold.h"

void hold_process(Hold *hold, bool high, uint32_t mask, float seconds, float glide_s, float *latent, uint8_t latents) {
    const bool taken = high && !hold->high;
    hold->high = high;
    if (high) {
        hold->left = hold->left > 0.0f && !taken ? 1.0f : hold->left;
    } else if (hold->left > 0.0f) {
        const float step = glide_s > seconds ? seconds / glide_s : 1.0f;
        hold->left = hold->left > step ? hold->left - step : 0.0f;
    }
    if (!high && hold->left <= 0.0f) {
        return;
    }
    for (uint8_t i = 0; i < latents; ++i) {
        if (!(mask >> i & 1u)) {
            continue;
        }
        const float now = latent[i] + hold->left * (hold->kept[i] - latent[i]);
        if (taken) {
            hold->kept[i] = now; /* also out of a glide: from where the latent is */
        }
        latent[i] = high ? hold->kept[i] : now;
    }
    hold->left = high ? 1.0f : hold->left;
}
