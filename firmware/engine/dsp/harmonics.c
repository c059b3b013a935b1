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

/* What each harmonic goes to in this frame; returns how many sound at its begin or end. */
static uint32_t aim(const vk_harmonics_asked *asked, vk_harmonics_state *state, float rate, uint32_t *ending) {
    uint32_t sounding = state->sounding;
    *ending = 0;
    for (uint32_t k = 0; k < asked->count; k++) {
        const float way = asked->newer[k] - asked->older[k];
        const float level = asked->older[k] + way * asked->part;
        const float fade = most1(least1(FADED - rate * (float)(k + 1u), 1.0f), 0.0f);
        const float to = level * fade;
        state->slope[k] = (to - state->level[k]) * PER_SAMPLE;
        if (to > 0.0f) {
            *ending = k + 1u;
        }
    }
    return sounding > *ending ? sounding : *ending;
}

bool vk_harmonics_frame(const vk_harmonics_asked *asked, vk_harmonics_state *state, uint32_t step, float *out) {
    const float rate = (float)step * FADE_RATE;
    uint32_t ending;
    const uint32_t sounding = aim(asked, state, rate, &ending);
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
        for (uint32_t k = sounding; k > 0; k--) {
            const float d = slope[k - 1u];
            f4 a;
            a[0] = level[k - 1u];
            a[1] = a[0] + d;
            a[2] = a[1] + d;
            a[3] = a[2] + d;
            level[k - 1u] = a[3] + d;
            const f4 next = (product(twice, sum) - above) + a;
            above = sum;
            sum = next;
        }
        const f4 made = product(sum, sine);
        FOUR { out[i + j] += made[j]; }
    }
    for (uint32_t k = 0; k < asked->count; k++) {
        const float way = asked->newer[k] - asked->older[k];
        const float fade = most1(least1(FADED - rate * (float)(k + 1u), 1.0f), 0.0f);
        level[k] = (asked->older[k] + way * asked->part) * fade;
    }
    state->phase = phase;
    state->step = step;
    state->sounding = ending;
    return ending > 0;
}
