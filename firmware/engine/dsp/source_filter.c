/* Pulses and noise through filters. */
#include "source_filter.h"

#include "hash.h"
#include "quick.h"

#define HALF_BITS 8u
#define QUARTER (VK_HOP / 4u)
#define GAINS 52u            /* bins of a piece */
#define LOUDNESS_MIDDLE 4.0f /* of what is told; a unit is a factor of e */
#define LOWEST_LOG (-14.0f)
#define HIGHEST_LOG 6.0f
#define NOISE_OFFSET (-2.0f)
#define LOWEST_OCTAVE (-3.5f)
#define HIGHEST_OCTAVE 4.25f
#define PITCH_HZ 220.0f
#define SPEED_PER_HZ 44739.2422f /* 2^31 / 48000 */
#define BRIGHTEST_HZ 18000.0f
#define PULSE_POWER 0.0625f
#define PULSE_LEVEL 0.125f
#define POWER_FLOOR 1e-12f
#define HISS_LEVEL (27.7128129f / 2147483648.0f) /* 16·√3: power 1 */
#define TURN (1.0f / 4294967296.0f)

void vk_source_reset(vk_source_state *state) { *state = (vk_source_state){0}; }

/* Σ cos(2πk·φ), k = 1 … count, as (sin((2·count + 1)·πφ) / sin(πφ) − 1) / 2; phases in whole numbers, exact. */
static f4 pulses_at(const uint32_t phase[4], uint32_t odd, float level) {
    f4 below_turns, above_turns, below, above, ignored;
    FOUR {
        /* a quarter turn either way: its sine is small near 0 alone */
        const int32_t half = (int32_t)(phase[j] << 1) >> 1;
        below_turns[j] = (float)half * TURN;
        above_turns[j] = (float)(int32_t)((uint32_t)half * odd) * TURN;
    }
    quick_turn(below_turns, &ignored, &below);
    quick_turn(above_turns, &ignored, &above);
    f4 y;
    FOUR {
        const bool small = below[j] < 1e-5f && below[j] > -1e-5f;
        const float ratio = small ? (float)odd : above[j] / (small ? 1.0f : below[j]);
        y[j] = (ratio - 1.0f) * level;
    }
    return y;
}

/* A quarter of the hop. */
static void add_pulses(vk_source_state *state, float octaves, uint32_t quarter) {
    const float told = least1(most1(octaves, LOWEST_OCTAVE), HIGHEST_OCTAVE);
    const float hz = PITCH_HZ * quick_exp(all(told * 0.693147181f))[0];
    const float before = state->sounding ? state->hz : hz;
    const int32_t speed = (int32_t)(before * SPEED_PER_HZ);
    const int32_t bend = ((int32_t)(hz * SPEED_PER_HZ) - speed) / (int32_t)VK_HOP;
    const float count = (float)(int32_t)(BRIGHTEST_HZ / most1(before, hz));
    const uint32_t odd = 2u * (uint32_t)(int32_t)count + 1u;
    const float level = PULSE_LEVEL / __builtin_sqrtf(0.5f * count);
    const uint32_t first = quarter * QUARTER;
    float *pulses = state->pulses;
    uint32_t phase = state->phase, now = (uint32_t)speed + (uint32_t)bend * first;
    for (uint32_t n = first; n < first + QUARTER; n += 4u) {
        uint32_t at[4];
        FOUR {
            phase += now;
            now += (uint32_t)bend;
            at[j] = phase;
        }
        const f4 y = pulses_at(at, odd, level);
        FOUR {
            pulses[n + j] = pulses[VK_HOP + n + j];
            pulses[VK_HOP + n + j] = y[j];
        }
    }
    state->phase = phase;
    if (quarter == 3u) {
        state->hz = hz;
        state->sounding = true;
    }
}

/* The high ones later: no spike. */
static void turn(const vk_fft_roots *roots, vk_complex *bins) {
    for (uint32_t k = 0; k <= VK_HOP; k++) {
        const uint32_t at = (k * k / 4u + 960u * k) % VK_FFT_ROOTS;
        const float c = roots->re[at], s = roots->im[at];
        const vk_complex a = bins[k];
        bins[k] = (vk_complex){a.re * c - a.im * s, a.re * s + a.im * c};
    }
}

void vk_source_pulses(float octaves, const vk_fft_roots *roots, vk_source_state *state, uint32_t piece) {
    const float *pulses = state->pulses;
    if (piece < 4u) {
        add_pulses(state, octaves, piece);
    } else if (piece == 4u) {
        for (uint32_t n = 0; n < VK_HOP; n++) {
            state->bins[vk_fft_place(n, HALF_BITS)] = (vk_complex){roots->window[2u * n] * pulses[2u * n],
                                                                   roots->window[2u * n + 1u] * pulses[2u * n + 1u]};
        }
    } else if (piece < VK_PULSES_PIECES - 1u) {
        vk_fft_pass(roots, state->bins, HALF_BITS, piece - 5u);
    } else {
        vk_fft_split(roots, state->bins, HALF_BITS);
        turn(roots, state->bins);
    }
}

/* Between two bands, clamped: four bins. */
static f4 between(const vk_source_filter *filter, const float *logs, uint32_t k, float offset) {
    f4 low, high, part;
    FOUR {
        const uint32_t bin = k + j < VK_SOURCE_BINS ? k + j : VK_SOURCE_BINS - 1u;
        low[j] = logs[filter->band[bin]];
        high[j] = logs[filter->band[bin] + 1u];
        part[j] = filter->upper[bin];
    }
    const f4 log = (low + product(part, high - low)) + all(offset);
    return least(most(log, all(LOWEST_LOG)), all(HIGHEST_LOG));
}

/* Gains of a range of bins, and the power that they add. */
static void add_gains(const vk_source_filter *filter, vk_source_state *state, const float *numbers, uint32_t first,
                      uint32_t end) {
    f4 sums = {state->power[0], state->power[1], state->power[2], state->power[3]};
    for (uint32_t k = first; k < end; k += 4u) {
        const f4 tone = quick_exp(between(filter, numbers, k, 0.0f));
        const f4 noise = quick_exp(between(filter, numbers + filter->bands, k, NOISE_OFFSET));
        const f4 power = product(product(tone, tone), all(PULSE_POWER)) + product(noise, noise);
        FOUR {
            state->tone[k + j] = tone[j];
            state->noise[k + j] = noise[j];
        }
        if (k + 4u <= VK_SOURCE_BINS) {
            sums = sums + power;
        } else {
            sums = sums + (f4){power[0], 0.0f, 0.0f, 0.0f};
        }
    }
    FOUR { state->power[j] = sums[j]; }
}

void vk_source_gains(const vk_source_filter *filter, vk_source_state *state, const float *numbers, uint32_t piece) {
    if (piece == 0u) {
        for (uint32_t j = 0; j < 4u; j++) {
            state->power[j] = 0.0f;
        }
    }
    if (piece < VK_GAINS_PIECES - 1u) {
        const uint32_t first = piece * GAINS, end = first + GAINS;
        add_gains(filter, state, numbers, first, end < VK_SOURCE_BINS ? end : VK_SOURCE_BINS);
        return;
    }
    const float *power = state->power;
    const float mean = ((power[0] + power[1]) + (power[2] + power[3])) * (1.0f / (float)VK_SOURCE_BINS);
    const float off = quick_tanh(all(numbers[2u * filter->bands]))[0];
    const float gain = quick_exp(all(off - 0.5f * quick_log(all(mean + POWER_FLOOR))[0]))[0];
    for (uint32_t k = 0; k < VK_SOURCE_BINS; k++) {
        state->tone[k] *= gain;
        state->noise[k] *= gain;
    }
}

/* Both sources through their gains: a range of bins. */
static void mix(const vk_source_filter *filter, vk_source_state *state, uint32_t first, uint32_t end) {
    uint32_t word = state->frame * (2u * VK_HOP) + filter->seed * GOLDEN + 2u * first;
    for (uint32_t k = first; k < end; k++, word += 2u) {
        const float re = (float)(int32_t)hash32(word) * HISS_LEVEL, im = (float)(int32_t)hash32(word + 1u) * HISS_LEVEL;
        const vk_complex pulse = state->bins[k];
        const float tone = state->tone[k], noise = state->noise[k];
        state->bins[k] = (vk_complex){tone * pulse.re + noise * re, tone * pulse.im + noise * im};
    }
}

void vk_source_frame(const vk_source_filter *filter, const vk_fft_roots *roots, vk_source_state *state,
                     uint32_t piece) {
    vk_complex *bins = state->bins;
    if (piece == 0u) {
        mix(filter, state, 0u, VK_HOP / 2u);
    } else if (piece == 1u) {
        mix(filter, state, VK_HOP / 2u, VK_HOP);
        state->frame++;
        bins[0].im = 0.0f;
        bins[VK_HOP] = (vk_complex){state->tone[VK_HOP] * bins[VK_HOP].re, 0.0f};
    } else if (piece == 2u) {
        vk_fft_join(roots, bins, state->work, HALF_BITS);
    } else if (piece < VK_FRAME_PIECES - 1u) {
        vk_fft_pass(roots, state->work, HALF_BITS, piece - 3u);
    } else {
        const float scale = 1.0f / (float)(2u * VK_HOP);
        for (uint32_t n = 0; n < VK_HOP; n++) {
            const vk_complex two = state->work[n];
            state->made[2u * n] = two.im * scale * roots->window[2u * n];
            state->made[2u * n + 1u] = two.re * scale * roots->window[2u * n + 1u];
        }
    }
}

void vk_source_sound(float loudness, vk_source_state *state, float *out) {
    const float level = quick_exp(all(loudness - LOUDNESS_MIDDLE))[0];
    for (uint32_t n = 0; n < VK_HOP; n++) {
        out[n] = state->tail[n] + level * state->made[n];
        state->tail[n] = level * state->made[VK_HOP + n];
    }
}
