/* Log-mel bands and loudness. */
#include "ear.h"

#include "quick.h"

#define HALF_BITS 9u
#define RISE 256u /* where the window begins to rise; it falls from 768 */
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

/* The window times the signal, pairs of samples as complex numbers, each half of them with the other: what the first
 * pass of a transform makes of them, where the next one wants it. */
static void window(const vk_fft_roots *roots, vk_ear_state *state) {
    const float *x = state->past, *later = state->past + VK_EAR_SIZE / 2u;
    ROLLED
    for (uint32_t n = 0; n < RISE; n += 2u) { /* the window is 0 in the first half */
        const float even = 0.5f - 0.5f * roots->re[n + RISE], odd = 0.5f - 0.5f * roots->re[n + 1u + RISE];
        const float re = later[n] * even, im = later[n + 1u] * odd;
        vk_complex *z = state->bins + vk_fft_place(n / 2u, HALF_BITS);
        z[0] = (vk_complex){re, im};
        z[1] = (vk_complex){-re, -im};
    }
    ROLLED
    for (uint32_t n = RISE; n < VK_EAR_SIZE / 2u; n += 2u) {
        const float rise_even = 0.5f - 0.5f * roots->re[n - RISE], rise_odd = 0.5f - 0.5f * roots->re[n + 1u - RISE];
        const float fall_even = 0.5f + 0.5f * roots->re[2u * (n - RISE)];
        const float fall_odd = 0.5f + 0.5f * roots->re[2u * (n + 1u - RISE)];
        const float re = x[n] * rise_even, im = x[n + 1u] * rise_odd;
        const float later_re = later[n] * fall_even, later_im = later[n + 1u] * fall_odd;
        vk_complex *z = state->bins + vk_fft_place(n / 2u, HALF_BITS);
        z[0] = (vk_complex){re + later_re, im + later_im};
        z[1] = (vk_complex){re - later_re, im - later_im};
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
    ROLLED
    for (uint32_t n = 0; n < VK_HOP; n++) {
        past[VK_EAR_SIZE - VK_HOP + n] = audio[n];
    }
    *loudness = loudness_of(ear->weight, past + VK_EAR_SIZE - VK_EAR_LOUDNESS);
}

static inline void add_power(const vk_ear *ear, float *power, uint32_t k, float square) {
    float *at = power + ear->band[k];
    at[0] += ear->lower[k] * square;
    at[1] += ear->upper[k] * square;
}

/* Powers of bins first … end − 1 and of those as far from the other end, into the bands: the spectrum of real samples
 * from that of pairs of them, as vk_fft_split, without being written. The two halves have sums of their own, so that
 * neither waits for the other. */
static void add_powers(const vk_ear *ear, const vk_fft_roots *roots, vk_ear_state *state, uint32_t first,
                       uint32_t end) {
    const uint32_t half = VK_EAR_SIZE / 2u;
    const vk_complex *bins = state->bins;
    const uint8_t *band = ear->band;
    const float *lower = ear->lower, *upper = ear->upper;
    ROLLED
    for (uint32_t k = first; k < end; k++) {
        const uint32_t l = half - k;
        const vk_complex a = bins[k], b = bins[l];
        float *low = state->power[0] + band[k], *high = state->power[1] + band[l];
        const float re = roots->re[k], im = roots->im[k];
        const float even_re = a.re + b.re, even_im = a.im - b.im, odd_re = a.re - b.re, odd_im = a.im + b.im;
        const float turned_re = odd_re * im + odd_im * re, turned_im = odd_im * im - odd_re * re;
        const float up_re = even_re + turned_re, up_im = even_im + turned_im;
        const float down_re = even_re - turned_re, down_im = even_im - turned_im;
        const float up = 0.25f * (up_re * up_re + up_im * up_im);
        const float down = 0.25f * (down_re * down_re + down_im * down_im);
        const float low_0 = low[0] + lower[k] * up, low_1 = low[1] + upper[k] * up;
        const float high_0 = high[0] + lower[l] * down, high_1 = high[1] + upper[l] * down;
        low[0] = low_0;
        low[1] = low_1;
        high[0] = high_0;
        high[1] = high_1;
    }
}

/* The bins that are their own pairs: the first, the last and the middle one. */
static void begin_powers(const vk_ear *ear, vk_ear_state *state) {
    const uint32_t half = VK_EAR_SIZE / 2u;
    const vk_complex ends = state->bins[0], middle = state->bins[half / 2u];
    ROLLED
    for (uint32_t b = 0; b <= VK_EAR_BANDS; b++) {
        state->power[0][b] = 0.0f;
        state->power[1][b] = 0.0f;
    }
    const float first = ends.re + ends.im, last = ends.re - ends.im;
    add_power(ear, state->power[0], 0u, first * first);
    add_power(ear, state->power[1], half, last * last);
    add_power(ear, state->power[1], half / 2u, middle.re * middle.re + middle.im * middle.im);
}

void vk_ear_hear(const vk_ear *ear, const vk_fft_roots *roots, vk_ear_state *state, uint32_t piece, float *heard) {
    const uint32_t quarter = VK_EAR_SIZE / 4u, powers = VK_FFT_PASSES(HALF_BITS);
    if (piece == 0u) {
        window(roots, state);
    } else if (piece < powers) {
        vk_fft_pass(roots, state->bins, HALF_BITS, piece);
    } else if (piece < VK_EAR_PIECES - 1u) {
        const uint32_t part = piece - powers;
        if (part == 0u) {
            begin_powers(ear, state);
        }
        add_powers(ear, roots, state, part == 0u ? 1u : part * quarter / 3u, (part + 1u) * quarter / 3u);
    } else {
        for (uint32_t b = 0; b < ear->bands; b += 4u) {
            const float *low = state->power[0] + b, *high = state->power[1] + b;
            const f4 sums = {low[0] + high[0], low[1] + high[1], low[2] + high[2], low[3] + high[3]};
            const f4 logs = product(quick_log(sums + all(BAND_FLOOR)) + all(BAND_MIDDLE), all(BAND_SCALE));
            FOUR { heard[b + j] = logs[j]; }
        }
    }
}
