/* A bank of decaying sines, a frame of 48 samples at a time. */
#include "modes.h"

#include "quick.h"

#define SILENT -11.5129f /* log amplitude of −100 dB: not computed */
#define REST -16.0f      /* where a mode that is off waits: −139 dB */
#define OFF -11.49f      /* what the network says of a mode that is not there */
#define LOUDEST 1.5f
#define STEEPEST 2.302585f /* most change of a log amplitude in a frame: 20 dB */
#define BENT 1e-3f         /* turns by which a mode may leave its phase in a frame that keeps its frequency */
#define HALF (VK_HIT_FRAME / 2u)

/* A field of four modes, or of their states. */
#define OF(p, field) ((f4){(p)[0].field, (p)[1].field, (p)[2].field, (p)[3].field})
#define PUT(p, field, values)                                                                                          \
    FOUR { (p)[j].field = (values)[j]; }

static void decode(const float *anchor, const float *spread, const float *raw, uint32_t row, vk_mode *mode) {
    const f4 level = four_at(raw + 2u * row), c = four_at(raw + 3u * row), s = four_at(raw + 4u * row);
    const f4 square = product(c, c) + product(s, s) + all(1e-8f);
    const f4 length = {__builtin_sqrtf(square[0]), __builtin_sqrtf(square[1]), __builtin_sqrtf(square[2]),
                       __builtin_sqrtf(square[3])};
    const f4 scale = all(1.0f) / length;
    PUT(mode, cosine, product(c, scale))
    PUT(mode, sine, product(s, scale))
    f4 kept = least(level, all(LOUDEST));
    FOUR { kept[j] = level[j] > OFF ? kept[j] : REST; }
    PUT(mode, level, kept)
    PUT(mode, amplitude, called_exp(kept))
    /* the middle decay is 60 ms: 1/60 is lost in a frame */
    const f4 slower = product(called_tanh(product(all(0.5f), four_at(raw + row))), all(-3.2f));
    PUT(mode, fall, product(called_exp(slower), all(1.0f / 60.0f)))
    const f4 aside = product(called_tanh(four_at(raw)), four_at(spread));
    const f4 cycles = product(four_at(anchor), called_exp(aside));
    PUT(mode, cycles, cycles)
    f4 turn_c, turn_s;
    called_turn(cycles, &turn_c, &turn_s);
    PUT(mode, turn_cos, turn_c)
    PUT(mode, turn_sin, turn_s)
    called_turn(product(cycles, all((float)VK_HIT_FRAME)), &turn_c, &turn_s);
    PUT(mode, frame_cos, turn_c)
    PUT(mode, frame_sin, turn_s)
}

void vk_modes_decode(const vk_mode_slots *slots, const float *raw, vk_mode *modes, uint32_t first, uint32_t count) {
    ROLLED for (uint32_t k = first; k < first + count; k += 4u) {
        decode(slots->anchor + k, slots->spread + k, raw + k, slots->count, &modes[k]);
    }
}

void vk_glide_decode(const float *raw, vk_glide *glide) {
    const float amount = least1(most1(raw[0], -6.0f), 3.0f) - 1.5f;
    const float bent = called_tanh(all(raw[1]))[0] * 1.6f;
    const f4 e = called_exp((f4){amount, bent, -bent, 0.0f});
    glide->extra = e[0] * (e[1] * 1200.0f); /* 25 ms */
    glide->rate = e[2] * (1.0f / 1200.0f);
}

void vk_modes_start(const vk_mode_slots *slots, const vk_mode *modes, vk_mode_state *state) {
    ROLLED for (uint32_t k = 0; k < slots->count; k++) {
        const vk_mode *mode = &modes[k];
        state[k] = (vk_mode_state){mode->cosine, mode->sine, mode->level, mode->amplitude};
    }
}

/* Four modes for as many samples as they keep their frequency. */
typedef struct Four {
    f4 ratio;          /* by which each sample's amplitude differs from the last one's */
    f4 amplitude;      /* at the begin */
    bool heard, rings; /* above −100 dB at its begin or end; at its end */
} Four;

static inline f4 power_24(f4 x) {
    const f4 x3 = product(product(x, x), x), x6 = product(x3, x3), x12 = product(x6, x6);
    return product(x12, x12);
}

/* Moves four modes' amplitudes to where they are to be after so many frames. */
static inline Four faded(const vk_mode *mode, vk_mode_state *state, float frames) {
    const f4 was = OF(state, log), amplitude = OF(state, amplitude);
    const f4 asked = most(OF(mode, level) - product(OF(mode, fall), all(frames)), all(REST));
    const f4 log = most(least(asked, was + all(STEEPEST)), was - all(STEEPEST));
    const f4 x = product(log - was, all(1.0f / (float)VK_HIT_FRAME));
    const f4 ratio = all(1.0f) + product(x, all(1.0f) + product(x, all(0.5f) + product(x, all(1.0f / 6.0f))));
    const f4 half = power_24(ratio);
    PUT(state, amplitude, product(amplitude, product(half, half)))
    PUT(state, log, log)
    const bool rings = most_of(log) > SILENT;
    return (Four){ratio, amplitude, rings || most_of(was) > SILENT, rings};
}

static inline void turn(vk_mode_state *state, f4 re, f4 im, f4 c, f4 s) {
    PUT(state, re, product(re, c) - product(im, s))
    PUT(state, im, product(re, s) + product(im, c))
}

/* y[n + 2] = 2r·cos(ω)·y[n + 1] − r²·y[n] */
static inline void add_static(const vk_mode *mode, vk_mode_state *state, const Four *four, float *restrict out) {
    const f4 c = OF(mode, turn_cos), s = OF(mode, turn_sin), re = OF(state, re), im = OF(state, im);
    f4 p = product(four->amplitude, im);
    f4 q = product(product(four->ratio, four->amplitude), product(im, c) + product(re, s));
    const f4 a = product(product(all(2.0f), four->ratio), c), b = product(four->ratio, four->ratio);
    turn(state, re, im, OF(mode, frame_cos), OF(mode, frame_sin));
    ROLLED for (uint32_t n = 0; n < VK_HIT_FRAME; n += 2u) {
        out[n] += (p[0] + p[1]) + (p[2] + p[3]);
        p = product(a, q) - product(b, p);
        out[n + 1u] += (q[0] + q[1]) + (q[2] + q[3]);
        q = product(a, p) - product(b, q);
    }
}

/* d[n + 1] = r²·d[n] − ((1 − r)² + 4r·sin²(ω / 2))·y[n], y[n + 1] = y[n] + d[n + 1]: the same, exact for frequencies
 * so low that cos(ω) is next to 1. turns: of each mode in so many samples. */
static void add_gliding(vk_mode_state *state, const Four *four, f4 turns, uint32_t samples, float *restrict out) {
    /* half the angle of a sample: below one radian */
    const f4 h = product(turns, all(3.14159265f / (float)samples)), z = product(h, h);
    const f4 s = product(h, all(1.0f) + product(z, product(z, all(1.0f / 120.0f)) - all(1.0f / 6.0f)));
    const f4 c = all(1.0f) + product(z, product(z, all(1.0f / 24.0f) - product(z, all(1.0f / 720.0f))) - all(0.5f));
    const f4 ratio = four->ratio, lost = all(1.0f) - ratio, re = OF(state, re), im = OF(state, im);
    const f4 chord = product(re, c) - product(im, s);
    f4 y = product(four->amplitude, im);
    f4 d = product(four->amplitude, product(product(ratio, s + s), chord) - product(lost, im));
    const f4 a = product(lost, lost) + product(product(all(4.0f), ratio), product(s, s)), b = product(ratio, ratio);
    f4 whole_c, whole_s;
    quick_turn(turns, &whole_c, &whole_s);
    turn(state, re, im, whole_c, whole_s);
    ROLLED for (uint32_t n = 0; n < samples; n += 2u) {
        out[n] += (y[0] + y[1]) + (y[2] + y[3]);
        y += d;
        d = product(b, d) - product(a, y);
        out[n + 1u] += (y[0] + y[1]) + (y[2] + y[3]);
        y += d;
        d = product(b, d) - product(a, y);
    }
}

/* Samples by which u goes on in either half of a frame. */
typedef struct Warp {
    float first, second;
    float leaves; /* by which it leaves a straight line */
} Warp;

static Warp warped(const vk_glide *glide, uint32_t frame) {
    const float start = (float)(frame * VK_HIT_FRAME), half = (float)HALF;
    const f4 places = {start, start + half, start + (float)VK_HIT_FRAME, start};
    const f4 gone = most(product(all(-glide->rate), places), all(-80.0f));
    const f4 at = product(all(glide->extra), called_exp(gone));
    return (Warp){half + (at[0] - at[1]), half + (at[1] - at[2]), 0.5f * (at[0] + at[2]) - at[1]};
}

static bool gliding_modes(const vk_mode *mode, const Warp *warp, vk_mode_state *state, float frames, float *out) {
    Four four = faded(mode, state, frames);
    if (!four.heard) {
        return false;
    }
    const f4 cycles = OF(mode, cycles);
    if (most_of(cycles) * warp->leaves < BENT) {
        add_gliding(state, &four, product(cycles, all(warp->first + warp->second)), VK_HIT_FRAME, out);
        return four.rings;
    }
    add_gliding(state, &four, product(cycles, all(warp->first)), HALF, out);
    four.amplitude = product(four.amplitude, power_24(four.ratio));
    add_gliding(state, &four, product(cycles, all(warp->second)), HALF, out + HALF);
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
    PUT(state + k, amplitude, called_exp(OF(state + k, log)))
    return rings;
}
