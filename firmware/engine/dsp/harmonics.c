/* Harmonics of one pitch whose levels change. */
#include "harmonics.h"

#include "quick.h"

#define LOWEST (-14.0f)
#define OFF (-13.9f)
#define LOUDEST 1.0f
#define PER_TURN (1.0f / 4294967296.0f)
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
    const float rate = (float)step * FADE_RATE;
    uint32_t ending = 0;
    for (uint32_t k = 0; k < asked->count; k++) {
        const float way = asked->newer[k] - asked->older[k];
        const float fade = most1(least1(FADED - rate * (float)(k + 1u), 1.0f), 0.0f);
        target[k] = (asked->older[k] + way * asked->part) * fade;
        state->slope[k] = (target[k] - state->level[k]) * PER_SAMPLE;
        if (target[k] > 0.0f) {
            ending = k + 1u;
        }
    }
    return ending;
}

/* A level at four samples; it goes on to the next. */
INLINE f4 ramped(float *level, float slope) {
    const float begin = *level, two = slope + slope;
    *level = begin + (two + two);
    return (f4){begin, begin + slope, begin + two, begin + (two + slope)};
}

bool vk_harmonics_frame(const vk_harmonics_asked *asked, vk_harmonics_state *state, uint32_t step, float *out) {
    float target[VK_HARMONICS];
    const uint32_t ending = aim(asked, state, step, target);
    const uint32_t sounding = ending > state->sounding ? ending : state->sounding, pairs = (sounding + 1u) & ~1u;
    const int32_t bend = ((int32_t)step - (int32_t)state->step) / (int32_t)VK_HIT_FRAME;
    uint32_t phase = state->phase, now = state->step;
    float *level = state->level;
    const float *slope = state->slope;
    for (uint32_t i = 0; i < VK_HIT_FRAME; i += 4u) {
        f4 turns, cosine, sine;
        FOUR {
            phase += now;
            now += (uint32_t)bend;
            turns[j] = (float)(int32_t)phase * PER_TURN;
        }
        quick_turn(turns, &cosine, &sine);
        const f4 twice = cosine + cosine;
        f4 above = all(0.0f), sum = all(0.0f);
        for (uint32_t k = pairs; k > 0; k -= 2u) { /* two at a time, so that neither sum moves */
            above = (product(twice, sum) - above) + ramped(level + k - 1u, slope[k - 1u]);
            sum = (product(twice, above) - sum) + ramped(level + k - 2u, slope[k - 2u]);
        }
        const f4 made = product(sum, sine);
        FOUR { out[i + j] += made[j]; }
    }
    for (uint32_t k = 0; k < asked->count; k++) {
        level[k] = target[k];
    }
    state->phase = phase;
    state->step = step;
    state->sounding = ending;
    return ending > 0;
}
