/* Pulses and noise through filters. */
#include "source_filter.h"

#include "hash.h"
#include "quick.h"

#define HALF_BITS 8u
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

void vk_source_pulses(const vk_fft_roots *roots, vk_source_state *state, const vk_source_control *control) {
    const float octaves = least1(most1(control->octaves, LOWEST_OCTAVE), HIGHEST_OCTAVE);
    const float hz = PITCH_HZ * quick_exp(all(octaves * 0.693147181f))[0];
    const float before = state->sounding ? state->hz : hz;
    const int32_t speed = (int32_t)(before * SPEED_PER_HZ);
    const int32_t bend = ((int32_t)(hz * SPEED_PER_HZ) - speed) / (int32_t)VK_HOP;
    const float count = (float)(int32_t)(BRIGHTEST_HZ / most1(before, hz));
    const uint32_t odd = 2u * (uint32_t)(int32_t)count + 1u;
    const float level = PULSE_LEVEL / __builtin_sqrtf(0.5f * count);
    float *pulses = state->pulses;
    uint32_t phase = state->phase, now = (uint32_t)speed;
    for (uint32_t n = 0; n < VK_HOP; n += 4u) {
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
    state->hz = hz;
    state->sounding = true;
    for (uint32_t n = 0; n < VK_HOP; n++) { /* the window is a half sine: −im of the roots */
        state->bins[vk_fft_place(n, HALF_BITS)] = (vk_complex){-roots->im[2u * n] * pulses[2u * n],
                                                               -roots->im[2u * n + 1u] * pulses[2u * n + 1u]};
    }
    vk_fft(roots, state->bins, HALF_BITS);
    vk_fft_split(roots, state->bins, HALF_BITS);
    for (uint32_t k = 0; k <= VK_HOP; k++) { /* the high ones later: no spike */
        const uint32_t turn = (k * k / 4u + 960u * k) % VK_FFT_ROOTS;
        const float c = roots->re[turn], s = roots->im[turn];
        const vk_complex a = state->bins[k];
        state->bins[k] = (vk_complex){a.re * c - a.im * s, a.re * s + a.im * c};
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

void vk_source_gains(const vk_source_filter *filter, vk_source_state *state, const vk_source_control *control,
                     const float *numbers) {
    const uint32_t bands = filter->bands;
    f4 sums = all(0.0f);
    for (uint32_t k = 0; k < VK_SOURCE_BINS; k += 4u) {
        const f4 tone = quick_exp(between(filter, numbers, k, 0.0f));
        const f4 noise = quick_exp(between(filter, numbers + bands, k, NOISE_OFFSET));
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
    const float mean = ((sums[0] + sums[1]) + (sums[2] + sums[3])) * (1.0f / (float)VK_SOURCE_BINS);
    const float told = (control->loudness * 2.0f - 8.0f) - quick_log(all(mean + POWER_FLOOR))[0];
    const float gain = quick_exp(all(0.5f * told + quick_tanh(all(numbers[2u * bands]))[0]))[0];
    for (uint32_t k = 0; k < VK_SOURCE_BINS; k++) {
        state->tone[k] *= gain;
        state->noise[k] *= gain;
    }
}

void vk_source_sound(const vk_source_filter *filter, const vk_fft_roots *roots, vk_source_state *state, float *out) {
    uint32_t word = state->frame * (2u * VK_HOP) + filter->seed * GOLDEN;
    for (uint32_t k = 0; k < VK_HOP; k++, word += 2u) {
        const float re = (float)(int32_t)hash32(word) * HISS_LEVEL, im = (float)(int32_t)hash32(word + 1u) * HISS_LEVEL;
        const vk_complex pulse = state->bins[k];
        const float tone = state->tone[k], noise = state->noise[k];
        state->bins[k] = (vk_complex){tone * pulse.re + noise * re, tone * pulse.im + noise * im};
    }
    state->frame++;
    state->bins[0].im = 0.0f;
    state->bins[VK_HOP] = (vk_complex){state->tone[VK_HOP] * state->bins[VK_HOP].re, 0.0f};
    vk_fft_join(roots, state->bins, state->work, HALF_BITS);
    vk_fft(roots, state->work, HALF_BITS);
    const float scale = 1.0f / (float)(2u * VK_HOP);
    for (uint32_t n = 0; n < VK_HOP; n++) {
        const float x = ((n & 1u) ? state->work[n >> 1].re : state->work[n >> 1].im) * scale;
        out[n] = state->tail[n] + x * -roots->im[n];
    }
    for (uint32_t n = 0; n < VK_HOP; n++) {
        const uint32_t at = VK_HOP + n;
        const float x = ((n & 1u) ? state->work[at >> 1].re : state->work[at >> 1].im) * scale;
        state->tail[n] = x * -roots->im[at];
    }
}
