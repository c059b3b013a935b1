/* Harmonics of one pitch whose levels change. */
#include "harmonics.h"

#include "quick.h"

#define LOWEST (-14.0f)
#define OFF (-13.9f)
#define LOUDEST 1.0f
#define PER_TURN (1.0f / 4294967296.0f)
#define CLEAR 8.4f                        /* of the same: nothing below it fades */
#define FADED 9.4f                        /* 0.47 / 0.05 */
#define FADE_RATE (20.0f / 4294967296.0f) /* of a step: 1 / 0.05 turns */
#define PER_SAMPLE (1.0f / (float)VK_HIT_FRAME)

void vk_harmonics_reset(vk_harmonics_state *state, uint32_t step) {
    state->phase = 0;
    state->step = step;
    state->sounding = 0;
    for (uint32_t k = 0; k < VK_HARMONICS; k++) {
        state->level[k] = 0.0f;
        state->slope[k] = 0.0f;
    }
}

void vk_harmonics_levels(float offset, const float *log, float *level, uint32_t count) {
    for (uint32_t k = 0; k < count; k += 4u) {
        f4 x;
        FOUR { x[j] = k + j < count ? log[k + j] : LOWEST; }
        x = x + all(offset);
        const f4 y = quick_exp(most(least(x, all(LOUDEST)), all(LOWEST)));
        FOUR { level[k + j] = x[j] > OFF && k + j < count ? y[j] : 0.0f; }
    }
}

/* What each harmonic goes to in this frame; returns how many sound at its end. */
static uint32_t aim(const vk_harmonics_asked *asked, vk_harmonics_state *state, uint32_t step, float *target) {
    const float lowest = (float)step * FADE_RATE;
    const f4 rate = all(lowest), part = all(asked->part);
    const bool fades = lowest * (float)asked->count > CLEAR;
    f4 order = {1.0f, 2.0f, 3.0f, 4.0f};
    for (uint32_t k = 0; k < asked->count; k += 4u) {
        const f4 older = four_at(asked->older + k), way = four_at(asked->newer + k) - older;
        f4 to = older + product(way, part);
        if (fades) {
            to = product(to, most(least(all(FADED) - product(rate, order), all(1.0f)), all(0.0f)));
        }
        const f4 slope = product(to - four_at(state->level + k), all(PER_SAMPLE));
        FOUR {
            target[k + j] = to[j];
            state->slope[k + j] = slope[j];
        }
        order += all(4.0f);
    }
    uint32_t ending = asked->count;
    while (ending > 0 && !(target[ending - 1u] > 0.0f)) {
        ending--;
    }
    return ending;
}

#if defined(__ARM_ARCH_7EM__)
/* harmonics_m7.S */
void vk_m7_harmonics_f32(float *sum, const float *twice, float *level, const float *slope, uint32_t pairs);
#define summed vk_m7_harmonics_f32
#else
/* A level at four samples, each the one before and the slope; it goes on to the next. */
INLINE f4 ramped(float *level, float slope) {
    float at = *level;
    f4 x;
    FOUR {
        x[j] = at;
        at += slope;
    }
    *level = at;
    return x;
}

/* Σ_k a_k · sin(k·φ) / sin(φ) of 48 samples from 2·cos(φ), with levels that go by their slopes; pairs: even. */
static void summed(float *sum, const float *twice, float *level, const float *slope, uint32_t pairs) {
    for (uint32_t i = 0; i < VK_HIT_FRAME; i += 4u) {
        const f4 turning = four_at(twice + i);
        f4 above = all(0.0f), here = all(0.0f);
        for (uint32_t k = pairs; k > 0; k -= 2u) { /* two at a time, so that neither sum moves */
            above = (product(turning, here) - above) + ramped(level + k - 1u, slope[k - 1u]);
            here = (product(turning, above) - here) + ramped(level + k - 2u, slope[k - 2u]);
        }
        FOUR { sum[i + j] = here[j]; }
    }
}
#endif

bool vk_harmonics_frame(const vk_harmonics_asked *asked, vk_harmonics_state *state, uint32_t step, float *out) {
    float target[VK_HARMONICS];
    const uint32_t ending = aim(asked, state, step, target);
    const uint32_t sounding = ending > state->sounding ? ending : state->sounding, pairs = (sounding + 1u) & ~1u;
    const int32_t bend = ((int32_t)step - (int32_t)state->step) / (int32_t)VK_HIT_FRAME;
    uint32_t phase = state->phase, now = state->step;
    float twice[VK_HIT_FRAME], sines[VK_HIT_FRAME], sum[VK_HIT_FRAME];
    for (uint32_t i = 0; i < VK_HIT_FRAME; i += 4u) {
        f4 turns, cosine, sine;
        FOUR {
            phase += now;
            now += (uint32_t)bend;
            turns[j] = (float)(int32_t)phase * PER_TURN;
        }
        quick_turn(turns, &cosine, &sine);
        FOUR {
            twice[i + j] = cosine[j] + cosine[j];
            sines[i + j] = sine[j];
        }
    }
    summed(sum, twice, state->level, state->slope, pairs);
    for (uint32_t i = 0; i < VK_HIT_FRAME; i += 4u) {
        const f4 made = product(four_at(sum + i), four_at(sines + i));
        FOUR { out[i + j] += made[j]; }
    }
    for (uint32_t k = 0; k < asked->count; k++) {
        state->level[k] = target[k];
    }
    state->phase = phase;
    state->step = step;
    state->sounding = ending;
    return ending > 0;
}
