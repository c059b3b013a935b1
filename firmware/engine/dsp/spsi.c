/* Sound of magnitudes, in a single pass. */
#include "spsi.h"

#include "hash.h"
#include "quick.h"

#define BITS 9u
#define REFINED 32u        /* partials of a piece */
#define DRAWN 64u          /* the same */
#define ADVANCE 0.125f     /* turns a hop, of half the scales' sum */
#define GAIN (1.0f / 6.0f) /* a window's sum is 512, and squares of four windows add up to 1.5 */
#define DIAGONAL 0.70710678f
#define UNIT (1.0f / 4294967296.0f)
#define HIGHEST 510.0f
#define STEEPEST 1e9f
#define HOPS 4u

enum { FIND = 0, LOWER, REFINE, REMEMBER = 6, LEVEL, HISS, DRAW, JOIN = 11, PASSES, ADD = 17 };

void vk_spsi_reset(vk_spsi *state) { *state = (vk_spsi){0}; }

/* Where the logs stop rising there is a partial, and before they rise again a valley; above the sound there is none. */
static void find(const vk_spsi_asked *asked, const float *logs, vk_spsi *state) {
    const uint32_t end = (uint32_t)(int32_t)least1(HIGHEST / asked->scale, HIGHEST);
    uint32_t count = 0, rose = 0;
    float last = logs[0];
    state->valley[0] = 0;
    ROLLED
    for (uint32_t k = 1; k <= end; k++) {
        const float now = logs[k];
        const uint32_t rises = now > last;
        if (rises != rose) {
            state->peak[count] = k - 1u; /* of a valley it is written over, as a valley's of a peak */
            count += rose;
            if (count == VK_SPSI_PEAKS) {
                break;
            }
            state->valley[count] = k - 1u;
            rose = rises;
        }
        last = now;
    }
    state->valley[0] = 0;
    state->valley[count] = end;
    state->count = count;
}

/* Heights of the valleys. */
static void lower(const float *logs, vk_spsi *state) {
    ROLLED
    for (uint32_t i = 0; i <= state->count; i += 4u) {
        f4 log;
        FOUR { log[j] = i + j <= state->count ? logs[state->valley[i + j]] : 0.0f; }
        const f4 low = quick_exp(log);
        FOUR { state->low[i + j] = low[j]; }
    }
}

/* Transform of a Hann window at x bins from its middle, |x| ≤ 2, within 3e-5: z is x². */
INLINE f4 lobe(f4 z) {
    f4 p = product(z, all(2.96607671e-4f)) + all(-6.38892189e-3f);
    p = product(p, z) + all(6.73896371e-2f);
    p = product(p, z) + all(-3.94625713e-1f);
    p = product(p, z) + all(9.99997961e-1f);
    return product(p, all(1.0f) - product(z, all(0.25f)));
}

/* Places of partials, those that are near a harmonic drawn to it. */
INLINE f4 drawn_to(f4 place, const vk_spsi_asked *asked) {
    const float zone = asked->pull * asked->grid;
    const float per_grid = asked->grid > 0.0f ? 1.0f / asked->grid : 0.0f;
    const float steep = zone > 0.0f ? 2.0f / zone : STEEPEST, stretch = asked->grid > 0.0f ? asked->stretch : 0.0f;
    const f4 number = most((product(place, all(per_grid)) + all(MAGIC)) - all(MAGIC), all(1.0f));
    const f4 home = product(number, all(asked->grid)), apart = place - home, far = most(apart, -apart);
    const f4 kept = least(most(product(far, all(steep)) - all(1.0f), all(0.0f)), all(1.0f));
    const f4 found = home + product(apart, kept);
    return found + product(found, product(all(stretch), product(found, all(per_grid)) - all(1.0f)));
}

/* Where four partials lie, how loud they are and at which phase. */
static void refine(const float *logs, const vk_spsi_asked *asked, vk_spsi *state, uint32_t first) {
    f4 top, side, low, place, turn, jitter, sign;
    FOUR {
        const uint32_t i = first + j < state->count ? first + j : first, k = state->peak[i];
        const uint32_t from = state->valley[i], to = state->valley[i + 1u];
        const uint32_t left = logs[k - 1u] > logs[k + 1u];
        top[j] = logs[k];
        side[j] = left ? logs[k - 1u] : logs[k + 1u];
        sign[j] = left ? -1.0f : 1.0f;
        place[j] = (float)k;
        low[j] = state->low[i] + (state->low[i + 1u] - state->low[i]) * ((float)(k - from) / (float)(to - from));
        turn[j] = state->phase[k];
        jitter[j] = (float)(int32_t)hash32(state->frame * VK_SPSI_BINS + k) * UNIT;
    }
    /* of a sine x bins from a bin, the next bin has (1 + x) / (2 − x) of that one's height */
    const f4 ratio = quick_exp(most(side - top, all(-60.0f)));
    const f4 apart = least(most((ratio + ratio - all(1.0f)) / (ratio + all(1.0f)), all(0.0f)), all(0.5f));
    const f4 height = quick_exp(top) / lobe(product(apart, apart));
    const f4 power = most(product(height, height) - product(low, low), all(0.0f));
    const float advance = ADVANCE * (asked->scale + (state->before > 0.0f ? state->before : asked->scale));
    place = drawn_to(place + product(sign, apart), asked);
    turn = turn + product(place, all(advance));
    turn = turn - ((turn + all(MAGIC)) - all(MAGIC));
    f4 cosine, sine;
    quick_turn(turn + product(jitter, all(1.0f - asked->tone)), &cosine, &sine);
    place = product(place, all(asked->scale));
    FOUR {
        const uint32_t i = first + j;
        const float root = __builtin_sqrtf(power[j]);
        state->place[i] = place[j];
        state->turn[i] = turn[j];
        state->re[i] = root * cosine[j];
        state->im[i] = root * sine[j];
    }
}

/* The region of a partial has its phase. */
static void remember(vk_spsi *state) {
    ROLLED
    for (uint32_t i = 0; i < state->count; i++) {
        const uint32_t to = i + 1u < state->count ? state->valley[i + 1u] : VK_SPSI_BINS;
        const float turn = state->turn[i];
        ROLLED
        for (uint32_t k = state->valley[i]; k < to; k++) {
            state->phase[k] = turn;
        }
    }
}

/* Heights of what lies below the partials, from valley to valley. */
static void level(const vk_spsi_asked *asked, vk_spsi *state) {
    const float gain = DIAGONAL * natural_exp(asked->noise);
    float *height = &state->work[0].re;
    uint32_t k = 0;
    ROLLED
    for (uint32_t i = 0; i < state->count; i++) {
        const float from = (float)state->valley[i] * asked->scale, to = (float)state->valley[i + 1u] * asked->scale;
        const float slope = gain * (state->low[i + 1u] - state->low[i]) / (to - from);
        uint32_t stop = (uint32_t)(int32_t)to;
        stop += (float)stop < to;
        float now = gain * state->low[i] + slope * ((float)k - from);
        ROLLED
        for (; k < stop; k++) {
            height[k] = now;
            now += slope;
        }
    }
    ROLLED
    for (; k < VK_SPSI_BINS + 8u; k++) {
        height[k] = 0.0f;
    }
}

/* The same at one of four phases. */
static void hiss(vk_spsi *state) {
    const float *height = &state->work[0].re;
    float *bin = &state->bins[VK_SPSI_MARGIN].re;
    ROLLED
    for (uint32_t k = 0; k <= VK_SPSI_BINS; k += 8u) {
        uint32_t random = hash32(~(state->frame * VK_SPSI_BINS + k));
        ROLLED
        for (uint32_t n = k; n < k + 8u && n <= VK_SPSI_BINS; n += 2u) {
            const u4 signs = {random, random << 1, random << 2, random << 3};
            const f4 made = (f4)((u4)(f4){height[n], height[n], height[n + 1u], height[n + 1u]} ^
                                 (signs & 0x80000000u));
            FOUR { bin[2u * n + j] = made[j]; }
            random <<= 4;
        }
    }
}

/* The lobes of some partials. */
static void draw(vk_spsi *state, uint32_t first) {
    const uint32_t end = first + DRAWN < state->count ? first + DRAWN : state->count;
    ROLLED
    for (uint32_t i = first; i < end; i++) {
        const float place = state->place[i];
        if (place < 0.0f || place >= HIGHEST) {
            continue;
        }
        const uint32_t base = (uint32_t)(int32_t)place;
        const float part = place - (float)base, turned = base & 1u ? 1.0f : -1.0f;
        const f4 x = {-1.0f - part, -part, 1.0f - part, 2.0f - part};
        const f4 shape = product(lobe(product(x, x)), (f4){turned, -turned, turned, -turned});
        const f4 re = product(shape, all(state->re[i])), im = product(shape, all(state->im[i]));
        vk_complex *bins = state->bins + (VK_SPSI_MARGIN - 1u + base);
        FOUR {
            bins[j].re += re[j];
            bins[j].im += im[j];
        }
    }
}

/* The frame, windowed, on what is there; its last hop begins anew. */
static void overlap(const vk_fft_roots *roots, vk_spsi *state) {
    for (uint32_t hop = 0; hop < HOPS; hop++) {
        float *sum = state->sum + ((state->frame + hop) % HOPS) * VK_SPSI_HOP;
        const float *re = roots->re + hop * VK_SPSI_HOP;
        const vk_complex *work = state->work + hop * (VK_SPSI_HOP / 2u);
        const float kept = hop + 1u < HOPS ? 1.0f : 0.0f;
        ROLLED
        for (uint32_t n = 0; n < VK_SPSI_HOP; n += 4u) {
            const vk_complex *pair = work + n / 2u;
            const f4 x = {pair[0].im, pair[0].re, pair[1].im, pair[1].re};
            const f4 window = all(0.5f * GAIN) - product(four_at(re + n), all(0.5f * GAIN));
            const f4 made = product(four_at(sum + n), all(kept)) + product(window, x);
            FOUR { sum[n + j] = made[j]; }
        }
    }
}

void vk_spsi_piece(const vk_fft_roots *roots, const vk_spsi_asked *asked, const float *logs, vk_spsi *state,
                   uint32_t piece) {
    vk_complex *bins = state->bins + VK_SPSI_MARGIN;
    if (piece == FIND) {
        find(asked, logs, state);
    } else if (piece == LOWER) {
        lower(logs, state);
    } else if (piece < REMEMBER) {
        const uint32_t first = (piece - REFINE) * REFINED;
        ROLLED
        for (uint32_t i = first; i < first + REFINED && i < state->count; i += 4u) {
            refine(logs, asked, state, i);
        }
    } else if (piece == REMEMBER) {
        remember(state);
    } else if (piece == LEVEL) {
        level(asked, state);
    } else if (piece == HISS) {
        hiss(state);
    } else if (piece < JOIN) {
        draw(state, (piece - DRAW) * DRAWN);
    } else if (piece == JOIN) {
        bins[0].im = 0.0f;
        bins[VK_SPSI_BINS].im = 0.0f;
        vk_fft_join(roots, bins, state->work, BITS);
    } else if (piece < ADD) {
        vk_fft_pass(roots, state->work, BITS, piece - PASSES);
    } else {
        overlap(roots, state);
        state->before = asked->scale;
        state->frame++;
    }
}

void vk_spsi_sound(const vk_spsi *state, float *out) {
    const float *sum = state->sum + ((state->frame + HOPS - 1u) % HOPS) * VK_SPSI_HOP;
    for (uint32_t n = 0; n < VK_SPSI_HOP; n++) {
        out[n] = sum[n];
    }
}
