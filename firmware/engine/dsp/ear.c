/* Log-mel bands and loudness. */
#include "ear.h"

#include "quick.h"

#define HALF_BITS 9u
#define RISE 256u /* where the window begins to rise */
#define FALL 768u /* and to fall */
#define BAND_FLOOR 1e-7f
#define BAND_MIDDLE 7.0f
#define BAND_SCALE 0.2f
#define LOUDNESS_FLOOR 1e-8f
#define LOUDNESS_MIDDLE 8.0f
#define LOUDNESS_SCALE 0.5f

void vk_ear_reset(vk_ear_state *state) {
    ROLLED
    for (uint32_t n = 0; n < VK_EAR_SIZE; n++) {
        state->past[n] = 0.0f;
    }
}

/* The window times the signal, pairs of samples as complex numbers, where a transform wants them. */
static void window(const vk_fft_roots *roots, vk_ear_state *state) {
    const float *x = state->past;
    for (uint32_t n = 0; n < VK_EAR_SIZE; n += 2u) {
        float even = 0.0f, odd = 0.0f;
        if (n >= FALL) {
            even = 0.5f + 0.5f * roots->re[2u * (n - FALL)];
            odd = 0.5f + 0.5f * roots->re[2u * (n + 1u - FALL)];
        } else if (n >= RISE) {
            even = 0.5f - 0.5f * roots->re[n - RISE];
            odd = 0.5f - 0.5f * roots->re[n + 1u - RISE];
        }
        state->bins[vk_fft_place(n / 2u, HALF_BITS)] = (vk_complex){x[n] * even, x[n + 1u] * odd};
    }
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

void vk_ear_take(const vk_ear *ear, vk_ear_state *state, const float *audio, float *loudness) {
    float *past = state->past;
    for (uint32_t n = 0; n < VK_EAR_SIZE - VK_HOP; n++) {
        past[n] = past[n + VK_HOP];
    }
    for (uint32_t n = 0; n < VK_HOP; n++) {
        past[VK_EAR_SIZE - VK_HOP + n] = audio[n];
    }
    *loudness = loudness_of(ear->weight, past + VK_EAR_SIZE - VK_EAR_LOUDNESS);
}

/* Powers of a range of bins, into the bands. */
static void add_powers(const vk_ear *ear, vk_ear_state *state, uint32_t first, uint32_t end) {
    for (uint32_t k = first; k < end; k++) {
        const vk_complex z = state->bins[k];
        const float square = z.re * z.re + z.im * z.im;
        float *at = state->power + ear->band[k];
        at[0] += ear->lower[k] * square;
        at[1] += ear->upper[k] * square;
    }
}

void vk_ear_hear(const vk_ear *ear, const vk_fft_roots *roots, vk_ear_state *state, uint32_t piece, float *heard) {
    if (piece == 0u) {
        window(roots, state);
    } else if (piece <= VK_FFT_PASSES(HALF_BITS)) {
        vk_fft_pass(roots, state->bins, HALF_BITS, piece - 1u);
    } else if (piece == VK_EAR_PIECES - 5u) {
        vk_fft_split(roots, state->bins, HALF_BITS);
    } else if (piece == VK_EAR_PIECES - 4u) {
        for (uint32_t b = 0; b <= VK_EAR_BANDS; b++) {
            state->power[b] = 0.0f;
        }
        add_powers(ear, state, 0u, VK_EAR_BINS / 3u);
    } else if (piece == VK_EAR_PIECES - 3u) {
        add_powers(ear, state, VK_EAR_BINS / 3u, 2u * (VK_EAR_BINS / 3u));
    } else if (piece == VK_EAR_PIECES - 2u) {
        add_powers(ear, state, 2u * (VK_EAR_BINS / 3u), VK_EAR_BINS);
    } else {
        for (uint32_t b = 0; b < ear->bands; b += 4u) {
            const float *at = state->power + b;
            const f4 sums = {at[0], at[1], at[2], at[3]};
            const f4 logs = product(quick_log(sums + all(BAND_FLOOR)) + all(BAND_MIDDLE), all(BAND_SCALE));
            FOUR { heard[b + j] = logs[j]; }
        }
    }
}
