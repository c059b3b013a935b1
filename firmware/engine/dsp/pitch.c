/* YIN with sums that fade. */
#include "pitch.h"

#include <stdbool.h>

#include "quick.h"

#define DECIMATION 8u
#define PRODUCTS 52u /* lags of a piece */
#define SHORTEST 4u
#define MEMORY 0.8f
#define DIP 0.15f
#define VOICED 0.75f
#define QUIET 1e-5f
#define FIRST_PERIOD 27.272728f /* 220 Hz */

void vk_pitch_reset(vk_pitch_state *state) { *state = (vk_pitch_state){.period = FIRST_PERIOD}; }

/* Some samples at 6 kHz, four side by side. */
static void decimate(const float *taps, vk_pitch_state *state, const float *audio, uint32_t first, uint32_t end) {
    for (uint32_t m = first; m < end; m += 4u) {
        const float *x = audio + m * DECIMATION;
        f4 total = all(0.0f);
        for (uint32_t k = 0; k < VK_PITCH_TAPS; k++) {
            const f4 four = {x[k], x[k + DECIMATION], x[k + 2u * DECIMATION], x[k + 3u * DECIMATION]};
            total = total + product(all(taps[k]), four);
        }
        FOUR { state->low[VK_PITCH_LAGS + m + j] = total[j]; }
    }
}

/* Energies at every lag: what the newest block says, added to what is left of the older ones. */
static void add_energies(vk_pitch_state *state) {
    const float *low = state->low;
    float squares[VK_PITCH_LAGS + VK_PITCH_BLOCK];
    uint32_t count = VK_PITCH_LAGS + VK_PITCH_BLOCK;
    for (uint32_t m = 0; m < count; m++) {
        squares[m] = low[m] * low[m];
    }
    for (uint32_t step = 1; step < VK_PITCH_BLOCK; step *= 2u) {
        count -= step;
        for (uint32_t m = 0; m < count; m++) {
            squares[m] += squares[m + step];
        }
    }
    for (uint32_t lag = 0; lag <= VK_PITCH_LAGS; lag++) {
        state->energies[lag] = MEMORY * state->energies[lag] + squares[VK_PITCH_LAGS - lag];
    }
    float total = 0.0f;
    for (uint32_t k = 0; k < VK_PITCH_BLOCK; k++) {
        total += low[VK_PITCH_LAGS + k] * low[k];
    }
    state->products[VK_PITCH_LAGS] = MEMORY * state->products[VK_PITCH_LAGS] + total;
}

/* Products at some lags, four side by side. */
static void add_products(vk_pitch_state *state, uint32_t first, uint32_t end) {
    const float *block = state->low + VK_PITCH_LAGS;
    for (uint32_t lag = first; lag < end; lag += 4u) {
        const float *past = block - lag;
        f4 x = {0.0f, past[-1], past[-2], past[-3]}, total = all(0.0f);
        for (uint32_t k = 0; k < VK_PITCH_BLOCK; k++) {
            x[0] = past[k];
            total = total + product(all(block[k]), x);
            x = (f4){0.0f, x[0], x[1], x[2]};
        }
        FOUR { state->products[lag + j] = MEMORY * state->products[lag + j] + total[j]; }
    }
}

/* The lowest point of the parabola through a dip and its neighbours: how far beside it, and how low. */
typedef struct lowest_point {
    float aside, depth;
} lowest_point;

static lowest_point bottom(const float *dip) {
    const float before = dip[-1], here = dip[0], after = dip[1];
    const float bend = 2.0f * ((before - (here + here)) + after) + 1e-12f;
    const float aside = least1(most1((before - after) / bend, -0.5f), 0.5f);
    return (lowest_point){aside, here - 0.25f * (before - after) * aside};
}

/* YIN's difference, each over the mean of those before it, of lags 1 … 200; the lowest dip or the first deep one. */
static uint32_t deepest(const vk_pitch_state *state, float *dips) {
    const float *products = state->products, *energies = state->energies;
    float sum = 0.0f;
    for (uint32_t i = 0; i < VK_PITCH_LAGS; i++) {
        const float raw = (energies[0] + energies[i + 1u]) - (products[i + 1u] + products[i + 1u]);
        const float difference = most1(raw, 0.0f);
        sum += difference;
        dips[i] = i < SHORTEST - 1u ? 1.0f : difference * (float)(i + 1u) / (sum + 1e-12f);
    }
    uint32_t lowest = 0;
    for (uint32_t i = 0; i < VK_PITCH_LAGS; i++) {
        const bool inner = i > 0u && i < VK_PITCH_LAGS - 1u;
        if (inner && dips[i] <= dips[i - 1u] && dips[i] <= dips[i + 1u] && bottom(dips + i).depth < DIP) {
            return i;
        }
        lowest = dips[i] < dips[lowest] ? i : lowest;
    }
    return lowest < 1u ? 1u : lowest > VK_PITCH_LAGS - 2u ? VK_PITCH_LAGS - 2u : lowest;
}

static void read(vk_pitch_state *state) {
    float dips[VK_PITCH_LAGS];
    const uint32_t at = deepest(state, dips);
    const lowest_point low = bottom(dips + at);
    state->voicing = state->energies[0] <= QUIET ? 0.0f : least1(most1(1.0f - low.depth, 0.0f), 1.0f);
    if (state->voicing > VOICED) {
        state->period = (float)(at + 1u) + low.aside;
    }
}

void vk_pitch_track(const float *taps, vk_pitch_state *state, const float *audio, uint32_t piece) {
    if (piece == 0u) {
        for (uint32_t m = 0; m < VK_PITCH_LAGS; m++) {
            state->low[m] = state->low[m + VK_PITCH_BLOCK];
        }
        decimate(taps, state, audio, 0u, VK_PITCH_BLOCK / 2u);
    } else if (piece == 1u) {
        decimate(taps, state, audio, VK_PITCH_BLOCK / 2u, VK_PITCH_BLOCK);
    } else if (piece == 2u) {
        add_energies(state);
    } else if (piece < VK_PITCH_PIECES - 1u) {
        const uint32_t first = (piece - 3u) * PRODUCTS, end = first + PRODUCTS;
        add_products(state, first, end < VK_PITCH_LAGS ? end : VK_PITCH_LAGS);
    } else {
        read(state);
    }
}
