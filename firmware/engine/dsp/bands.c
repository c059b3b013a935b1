/* White noise in bands whose gains change every millisecond. */
#include "bands.h"

#include "hash.h"
#include "quick.h"

#define LOWEST -12.0f
#define OFF -11.9f
#define LOUDEST 2.5f
#define FULL 32767.0f
#define NOISE_ONE 512.0f /* 128 taps of full size times it stay below 2^31 */
#define HALF_TAPS (VK_BAND_TAPS / 2u)

#if defined(__ARM_ARCH_7EM__)
/* bands_m7.S */
void vk_m7_fir4_s16(int32_t *sum, const int16_t *tap, const int16_t *even, const int16_t *odd);
void vk_m7_mix4_s16(int32_t *sum, const int16_t *half, const int16_t *share, uint32_t bands);
#endif

uint32_t vk_hit_key(uint32_t seed, uint32_t hit) { return hash32(seed * GOLDEN + hit); }

/* Gains as shares of their sum, in int16; returns the sum. */
static float shares(const vk_bands *bands, const vk_band_gains *gains, int16_t *share) {
    f4 gain[VK_BANDS / 4u], sum = all(0.0f);
    const uint32_t fours = bands->count / 4u;
    for (uint32_t b = 0; b < fours; b++) {
        f4 before, after, peak;
        FOUR {
            before[j] = gains->before[4u * b + j];
            after[j] = gains->after[4u * b + j];
            peak[j] = bands->peak[4u * b + j];
        }
        before = most(least(before, all(LOUDEST)), all(LOWEST));
        after = most(least(after, all(LOUDEST)), all(LOWEST));
        const f4 log = before + product(all(gains->part), after - before);
        f4 g = quick_exp(log + peak);
        FOUR { g[j] = log[j] > OFF ? g[j] : 0.0f; }
        gain[b] = g;
        sum += g;
    }
    const float whole = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    const f4 scale = all(whole > 0.0f ? FULL / whole : 0.0f);
    for (uint32_t b = 0; b < fours; b++) {
        const u4 rounded = (u4)(product(gain[b], scale) + all(MAGIC));
        FOUR { share[4u * b + j] = (int16_t)(uint16_t)rounded[j]; }
    }
    return whole;
}

/* The sum of the bands' filters, each times its share. */
static void mix(const vk_bands *bands, const int16_t *share, int16_t *tap) {
    const uint32_t count = bands->count;
    const int16_t *half = bands->half;
    for (uint32_t k = 0; k < HALF_TAPS; k += 4u, half += 4u * count) {
        int32_t sum[4] = {1 << 14, 1 << 14, 1 << 14, 1 << 14};
#if defined(__ARM_ARCH_7EM__)
        vk_m7_mix4_s16(sum, half, share, count);
#else
        for (uint32_t b = 0; b < count; b += 2u) {
            const int16_t *four = half + 4u * b;
            FOUR { sum[j] += four[2u * j] * share[b] + four[2u * j + 1u] * share[b + 1u]; }
        }
#endif
        FOUR {
            const int16_t value = (int16_t)(sum[j] >> 15);
            tap[k + j] = value;
            tap[VK_BAND_TAPS - 1u - k - j] = value;
        }
    }
}

void vk_bands_filter(const vk_bands *bands, const vk_band_gains *gains, vk_band_filter *filter) {
    _Alignas(4) int16_t share[VK_BANDS + 2u]; /* two more are read */
    const float whole = shares(bands, gains, share);
    filter->scale = whole * (1.0f / (FULL * NOISE_ONE));
    if (whole > 0.0f) {
        mix(bands, share, filter->tap);
    }
}

static inline uint16_t noise_at(uint32_t key) { return (uint16_t)((int32_t)hash32(key) >> 22); }

/* One store of a word: two of half words take a Cortex-M7 longer. */
static inline void put(int16_t *at, uint16_t first, uint16_t second) {
    const uint32_t word = first | (uint32_t)second << 16;
    __builtin_memcpy(at, &word, sizeof word);
}

/* Noise of an even number of samples, from an even place of the memory on; `last` came before. */
static void hear(int16_t (*heard)[VK_BAND_TAPS + VK_HIT_FRAME + 2u], uint32_t key, uint32_t at, uint32_t count,
                 uint16_t last) {
    for (uint32_t i = at; i < at + count; i += 2u, key += 2u) {
        const uint16_t first = noise_at(key), second = noise_at(key + 1u);
        put(heard[0] + i, first, second);
        if (i > 0) {
            put(heard[1] + i - 2u, last, first);
        }
        last = second;
    }
    heard[1][at + count - 1u] = 0; /* not there yet */
    heard[1][at + count - 2u] = (int16_t)last;
}

void vk_bands_start(vk_band_state *state, uint32_t key, const vk_band_filter *first) {
    hear(state->heard, key - VK_BAND_TAPS, 0, VK_BAND_TAPS, 0);
    state->key = key;
    state->newer = 0;
    state->filter[0] = *first;
}

/* Four neighbouring sums; even: the oldest sample of the first, odd: of the second. */
static inline void filtered(const int16_t *tap, const int16_t *even, const int16_t *odd, int32_t *sum) {
#if defined(__ARM_ARCH_7EM__)
    vk_m7_fir4_s16(sum, tap, even, odd);
#else
    (void)odd;
    FOUR {
        int32_t s = 0;
        for (uint32_t k = 0; k < VK_BAND_TAPS; k++) {
            s += tap[k] * even[k + j];
        }
        sum[j] = s;
    }
#endif
}

/* The past of the next frame. */
static void shift(int16_t *heard) {
    for (uint32_t i = 0; i < VK_BAND_TAPS; i++) {
        heard[i] = heard[i + VK_HIT_FRAME];
    }
}

bool vk_bands_frame(const vk_bands *bands, vk_band_state *state, const vk_band_gains *gains, float *out) {
    const vk_band_filter *older = &state->filter[state->newer];
    state->newer ^= 1u;
    vk_band_filter *newer = &state->filter[state->newer];
    vk_bands_filter(bands, gains, newer);
    hear(state->heard, state->key, VK_BAND_TAPS, VK_HIT_FRAME, (uint16_t)state->heard[0][VK_BAND_TAPS - 1u]);
    state->key += VK_HIT_FRAME;
    if (older->scale > 0.0f || newer->scale > 0.0f) {
        for (uint32_t n = 0; n < VK_HIT_FRAME; n += 4u) {
            const int16_t *even = state->heard[1] + n, *odd = state->heard[0] + n + 2u;
            int32_t from[4] = {0, 0, 0, 0}, to[4] = {0, 0, 0, 0};
            if (older->scale > 0.0f) {
                filtered(older->tap, even, odd, from);
            }
            if (newer->scale > 0.0f) {
                filtered(newer->tap, even, odd, to);
            }
            FOUR {
                const float a = (float)from[j] * older->scale, b = (float)to[j] * newer->scale;
                out[n + j] += a + (b - a) * ((float)(n + j) * (1.0f / (float)VK_HIT_FRAME));
            }
        }
    }
    shift(state->heard[0]);
    shift(state->heard[1]);
    return newer->scale > 0.0f;
}
