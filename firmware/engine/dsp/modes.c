/* A bank of decaying sines, a frame of 48 samples at a time. */
#include "modes.h"

#include "quick.h"

#define SILENT -11.5129f   /* log amplitude of −100 dB: not computed */
#define REST -16.0f        /* where a mode that is off waits: −139 dB */
#define OFF -11.49f        /* what the network says of a mode that is not there */
#define LOUDEST 1.5f
#define STEEPEST 2.302585f /* most change of a log amplitude in a frame: 20 dB */
#define BENT 0.1f          /* samples by which u may leave a straight line in a frame that keeps its frequency */
#define HALF (VK_HIT_FRAME / 2u)

static inline void decode(float anchor, float spread, const float *raw, uint32_t row, vk_mode *mode) {
    const float level = raw[2u * row], c = raw[3u * row], s = raw[4u * row];
    const float scale = 1.0f / __builtin_sqrtf(product(c, c) + product(s, s) + 1e-8f);
    const float cycles = product(anchor, quick_exp(product(quick_tanh(raw[0]), spread)));
    vk_mode told = {.cycles = cycles, .cosine = product(c, scale), .sine = product(s, scale)};
    /* the middle decay is 60 ms: 1/60 is lost in a frame */
    told.fall = product(quick_exp(product(quick_tanh(0.5f * raw[row]), -3.2f)), 1.0f / 60.0f);
    told.level = level > OFF ? least(level, LOUDEST) : REST;
    quick_turn(cycles, &told.turn_cos, &told.turn_sin);
    quick_turn(product(cycles, (float)VK_HIT_FRAME), &told.frame_cos, &told.frame_sin);
    *mode = told;
}

void vk_modes_decode(const vk_mode_slots *slots, const float *raw, vk_mode *modes, uint32_t first, uint32_t count) {
    for (uint32_t k = first; k < first + count; k += 2u) {
        TOGETHER for (uint32_t j = 0; j < 2u; j++) {
            decode(slots->anchor[k + j], slots->spread[k + j], raw + k + j, slots->count, &modes[k + j]);
        }
    }
}

void vk_glide_decode(const float *raw, vk_glide *glide) {
    const float amount = quick_exp(least(most(raw[0], -6.0f), 3.0f) - 1.5f);
    const float bent = product(quick_tanh(raw[1]), 1.6f);
    glide->extra = product(amount, product(quick_exp(bent), 1200.0f)); /* 25 ms */
    glide->rate = product(quick_exp(-bent), 1.0f / 1200.0f);
}

void vk_modes_start(const vk_mode_slots *slots, const vk_mode *modes, vk_mode_state *state) {
    ROLLED for (uint32_t k = 0; k < slots->count; k++) {
        const vk_mode *mode = &modes[k];
        state[k] = (vk_mode_state){mode->cosine, mode->sine, mode->level, quick_exp(mode->level)};
    }
}

/* Four modes for as many samples as they keep their frequency. */
typedef struct Four {
    float ratio[4];     /* by which each sample's amplitude differs from the last one's */
    float amplitude[4]; /* at the begin */
    bool heard, rings; /* above −100 dB at its begin or end; at its end */
} Four;

static inline float power_24(float x) {
    const float x3 = product(product(x, x), x), x6 = product(x3, x3), x12 = product(x6, x6);
    return product(x12, x12);
}

/* Moves four modes' amplitudes to where they are to be after so many frames. */
static inline Four faded(const vk_mode *restrict mode, vk_mode_state *restrict state, float frames) {
    Four four;
    float log[4], before = REST, after = REST;
    FOUR {
        const float was = state[j].log, asked = most(mode[j].level - product(mode[j].fall, frames), REST);
        before = most(before, was);
        log[j] = most(least(asked, was + STEEPEST), was - STEEPEST);
    }
    FOUR {
        const float x = product(log[j] - state[j].log, 1.0f / (float)VK_HIT_FRAME);
        four.ratio[j] = 1.0f + product(x, 1.0f + product(x, 0.5f + product(x, 1.0f / 6.0f)));
        four.amplitude[j] = state[j].amplitude;
    }
    FOUR {
        const float half = power_24(four.ratio[j]);
        state[j].amplitude = product(four.amplitude[j], product(half, half));
        state[j].log = log[j];
        after = most(after, log[j]);
    }
    four.rings = after > SILENT;
    four.heard = four.rings || before > SILENT;
    return four;
}

static inline void turn(vk_mode_state *state, float c, float s) {
    const float re = product(state->re, c) - product(state->im, s);
    state->im = product(state->re, s) + product(state->im, c);
    state->re = re;
}

/* y[n + 2] = 2r·cos(ω)·y[n + 1] − r²·y[n] */
static inline void add_static(const vk_mode *restrict mode, vk_mode_state *restrict state, const Four *four,
                              float *restrict out) {
    float p[4], q[4], a[4], b[4];
    FOUR {
        const float c = mode[j].turn_cos, s = mode[j].turn_sin, ratio = four->ratio[j];
        const float re = state[j].re, im = state[j].im, begin = four->amplitude[j];
        p[j] = product(begin, im);
        q[j] = product(product(ratio, begin), product(im, c) + product(re, s));
        a[j] = product(product(2.0f, ratio), c);
        b[j] = product(ratio, ratio);
        turn(&state[j], mode[j].frame_cos, mode[j].frame_sin);
    }
    for (uint32_t n = 0; n < VK_HIT_FRAME; n += 2u) {
        out[n] += (p[0] + p[1]) + (p[2] + p[3]);
        out[n + 1u] += (q[0] + q[1]) + (q[2] + q[3]);
        FOUR { p[j] = product(a[j], q[j]) - product(b[j], p[j]); }
        FOUR { q[j] = product(a[j], p[j]) - product(b[j], q[j]); }
    }
}

/* d[n + 1] = r²·d[n] − ((1 − r)² + 4r·sin²(ω / 2))·y[n], y[n + 1] = y[n] + d[n + 1]: the same, exact for frequencies
 * so low that cos(ω) is next to 1. turns: of each mode in so many samples. */
static void add_gliding(vk_mode_state *restrict state, const Four *four, const float *turns, uint32_t samples,
                        float *restrict out) {
    float y[4], d[4], a[4], b[4];
    const float radians = 3.14159265f / (float)samples;
    FOUR {
        /* half the angle of a sample: below one radian */
        const float h = product(turns[j], radians), z = product(h, h);
        const float s = product(h, 1.0f + product(z, product(z, 1.0f / 120.0f) - 1.0f / 6.0f));
        const float c = 1.0f + product(z, product(z, 1.0f / 24.0f - product(z, 1.0f / 720.0f)) - 0.5f);
        const float ratio = four->ratio[j], lost = 1.0f - ratio;
        const float re = state[j].re, im = state[j].im, begin = four->amplitude[j];
        const float chord = product(re, c) - product(im, s);
        y[j] = product(begin, im);
        d[j] = product(begin, product(product(ratio, s + s), chord) - product(lost, im));
        a[j] = product(lost, lost) + product(product(4.0f, ratio), product(s, s));
        b[j] = product(ratio, ratio);
    }
    FOUR {
        float c, s;
        quick_turn(turns[j], &c, &s);
        turn(&state[j], c, s);
    }
    for (uint32_t n = 0; n < samples; n += 2u) {
        out[n] += (y[0] + y[1]) + (y[2] + y[3]);
        FOUR { y[j] += d[j]; }
        FOUR { d[j] = product(b[j], d[j]) - product(a[j], y[j]); }
        out[n + 1u] += (y[0] + y[1]) + (y[2] + y[3]);
        FOUR { y[j] += d[j]; }
        FOUR { d[j] = product(b[j], d[j]) - product(a[j], y[j]); }
    }
}

/* Samples by which u goes on in either half of a frame. */
typedef struct Warp {
    bool straight; /* one frequency for the whole frame */
    float first, second;
} Warp;

static Warp warped(const vk_glide *glide, uint32_t frame) {
    const float start = (float)(frame * VK_HIT_FRAME);
    float at[4];
    FOUR {
        at[j] = most(product(-glide->rate, start + (float)(j * HALF)), -80.0f);
        at[j] = product(glide->extra, quick_exp(at[j]));
    }
    const float leaves = product(0.5f, at[0] + at[2]) - at[1];
    return (Warp){leaves < BENT, (float)HALF + (at[0] - at[1]), (float)HALF + (at[1] - at[2])};
}

static bool gliding_modes(const vk_mode *mode, const Warp *warp, vk_mode_state *state, float frames, float *out) {
    Four four = faded(mode, state, frames);
    float turns[4];
    if (!four.heard) {
        return false;
    }
    if (warp->straight) {
        FOUR { turns[j] = product(mode[j].cycles, warp->first + warp->second); }
        add_gliding(state, &four, turns, VK_HIT_FRAME, out);
        return four.rings;
    }
    FOUR { turns[j] = product(mode[j].cycles, warp->first); }
    add_gliding(state, &four, turns, HALF, out);
    FOUR {
        four.amplitude[j] = product(four.amplitude[j], power_24(four.ratio[j]));
        turns[j] = product(mode[j].cycles, warp->second);
    }
    add_gliding(state, &four, turns, HALF, out + HALF);
    return four.rings;
}

bool vk_modes_frame(const vk_mode_slots *slots, const vk_mode *modes, const vk_glide *glide, vk_mode_state *state,
                    uint32_t frame, float *out) {
    const Warp warp = warped(glide, frame);
    const float frames = (float)(frame + 1u);
    bool rings = false;
    uint32_t k = 0;
    for (; k < slots->gliding; k += 4u) {
        rings |= gliding_modes(modes + k, &warp, state + k, frames, out);
    }
    for (; k < slots->count; k += 4u) {
        const Four four = faded(modes + k, state + k, frames);
        rings |= four.rings;
        if (four.heard) {
            add_static(modes + k, state + k, &four, out);
        }
    }
    /* Amplitudes are products of many; four of them a frame are made anew. */
    k = frame % (slots->count / 4u) * 4u;
    FOUR { state[k + j].amplitude = quick_exp(state[k + j].log); }
    return rings;
}
