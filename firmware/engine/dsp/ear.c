/* Log-mel bands and loudness. */
#include "ear.h"

#include "quick.h"

#define HALF_BITS 9u
#define BAND_FLOOR 1e-7f
#define BAND_MIDDLE 7.0f
#define BAND_SCALE 0.2f
#define LOUDNESS_FLOOR 1e-8f
#define LOUDNESS_MIDDLE 8.0f
#define LOUDNESS_SCALE 0.5f

void vk_ear_reset(vk_ear_state *state) {
    for (uint32_t n = 0; n < VK_EAR_SIZE; n++) {
        state->past[n] = 0.0f;
    }
}

/* The window times the signal, pairs of samples as complex numbers, transformed. */
static void transform(const vk_fft_roots *roots, vk_ear_state *state) {
    const float *x = state->past;
    for (uint32_t n = 0; n < VK_EAR_SIZE / 2u; n++) {
        const float even = 0.5f - 0.5f * roots->re[2u * n], odd = 0.5f - 0.5f * roots->re[2u * n + 1u];
        state->bins[vk_fft_place(n, HALF_BITS)] = (vk_complex){x[2u * n] * even, x[2u * n + 1u] * odd};
    }
    vk_fft(roots, state->bins, HALF_BITS);
    vk_fft_split(roots, state->bins, HALF_BITS);
}

/* Four sums side by side, added up at the end. */
static float loudness_of(const float *weight, const float *x) {
    f4 total = all(0.0f);
    for (uint32_t n = 0; n < VK_EAR_LOUDNESS; n += 4u) {
        const f4 four = {x[n], x[n + 1u], x[n + 2u], x[n + 3u]};
        const f4 by = {weight[n], weight[n + 1u], weight[n + 2u], weight[n + 3u]};
        total = total + product(product(four, four), by);
    }
    const float power = (total[0] + total[1]) + (total[2] + total[3]);
    return (quick_log(all(power + LOUDNESS_FLOOR))[0] + LOUDNESS_MIDDLE) * LOUDNESS_SCALE;
}

void vk_ear_hear(const vk_ear *ear, const vk_fft_roots *roots, vk_ear_state *state, const float *audio, float *heard) {
    float *past = state->past;
    for (uint32_t n = 0; n < VK_EAR_SIZE - VK_HOP; n++) {
        past[n] = past[n + VK_HOP];
    }
    for (uint32_t n = 0; n < VK_HOP; n++) {
        past[VK_EAR_SIZE - VK_HOP + n] = audio[n];
    }
    transform(roots, state);
    float power[VK_EAR_BANDS + 1u];
    for (uint32_t b = 0; b <= VK_EAR_BANDS; b++) {
        power[b] = 0.0f;
    }
    for (uint32_t k = 0; k < VK_EAR_BINS; k++) {
        const vk_complex z = state->bins[k];
        const float square = z.re * z.re + z.im * z.im;
        float *at = power + ear->band[k];
        at[0] += ear->lower[k] * square;
        at[1] += ear->upper[k] * square;
    }
    for (uint32_t b = 0; b < ear->bands; b += 4u) {
        const f4 sums = {power[b], power[b + 1u], power[b + 2u], power[b + 3u]};
        const f4 logs = product(quick_log(sums + all(BAND_FLOOR)) + all(BAND_MIDDLE), all(BAND_SCALE));
        FOUR { heard[b + j] = logs[j]; }
    }
    heard[ear->bands] = loudness_of(ear->weight, past + VK_EAR_SIZE - VK_EAR_LOUDNESS);
}
