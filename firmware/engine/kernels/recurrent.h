/* What recurrent layers have in common: lines of functions, and a unit's step from its four sums. */
#ifndef VAECTROL_KERNELS_RECURRENT_H
#define VAECTROL_KERNELS_RECURRENT_H

#include "arith.h"
#include "memory.h"

#define VK_SUMS 4u

static inline size_t vk_states(const vk_recurrent *layer) { return (layer->units + 1u) & ~1u; }
/* A frame's inputs behind the states. */
static inline void vk_take_inputs(const vk_recurrent *layer, int16_t *v, const int16_t *in) {
    int16_t *to = v + vk_states(layer);
    for (size_t i = 0; i < layer->inputs; i += 2) {
        vk_store_word(to + i, vk_load_word(in + i));
    }
}
/* The new states to where the next frame reads them: not before all units of this one have. */
static inline void vk_take_states(const vk_recurrent *layer, int16_t *v, int16_t *out) {
    const size_t states = vk_states(layer);
    if (states != layer->units) {
        out[layer->units] = 0;
    }
    for (size_t i = 0; i < states; i += 2) {
        vk_store_word(v + i, vk_load_word(out + i));
    }
}

#if !defined(__ARM_ARCH_7EM__)
/* (a·b) >> 32, rounded down: SMMUL on a Cortex-M7 */
static inline int32_t vk_high(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b) >> 32); }
static inline int32_t vk_sat32(int64_t v) {
    return (int32_t)(v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v);
}
/* sat(a + sat(2·b)): QDADD on a Cortex-M7 */
static inline int32_t vk_plus_twice(int32_t a, int32_t b) { return vk_sat32((int64_t)a + vk_sat32(2 * (int64_t)b)); }

/* 512 lines of 2^bits on either side of input 0; two neighbours share the knot that the fraction is counted from */
#define VK_SIGMOID_BITS 19
#define VK_TANH_BITS 18
static inline int32_t vk_on_line(const int32_t *lines, int32_t x, int bits) {
    const int32_t reach = 512 * (1 << bits), u = x < -reach ? -reach : x >= reach ? reach - 1 : x;
    const int32_t *line = lines + 2 * (u >> bits), fraction = (int32_t)((uint32_t)u << (31 - bits));
    return line[0] + vk_high(line[1], fraction);
}
static inline int32_t vk_sigmoid_q31(const int32_t *lines, int32_t x) { return vk_on_line(lines, x, VK_SIGMOID_BITS); }
static inline int32_t vk_tanh_q24(const int32_t *lines, int32_t x) { return vk_on_line(lines, x, VK_TANH_BITS); }

/* An LSTM's new cell from the sums i, o, f, c; and its state from the gate o. */
static inline int32_t vk_lstm_cell(const vk_recurrent *layer, const int32_t *sum, int32_t cell) {
    const int32_t i = vk_sigmoid_q31(layer->sigmoid, sum[0]), f = vk_sigmoid_q31(layer->sigmoid, sum[2]);
    const int32_t half = vk_high(f, cell) + vk_high(i, vk_tanh_q24(layer->tanh, sum[3]));
    return vk_plus_twice(0, half);
}
static inline int16_t vk_lstm_state(const vk_recurrent *layer, int32_t o, int32_t cell) {
    return vk_sat16((vk_high(o, vk_tanh_q24(layer->tanh, cell)) + 128) >> 8);
}
/* A GRU's new state, Q24, from the sums z, r and both parts of n; and as it is multiplied. */
static inline int32_t vk_gru_state(const vk_recurrent *layer, const int32_t *sum, int32_t state) {
    const int32_t z = vk_sigmoid_q31(layer->sigmoid, sum[0]), r = vk_sigmoid_q31(layer->sigmoid, sum[1]);
    const int32_t n = vk_tanh_q24(layer->tanh, vk_plus_twice(sum[2], vk_high(r, sum[3])));
    return n + 2 * vk_high(z, state - n);
}
static inline int16_t vk_gru_short(int32_t state) { return vk_sat16((state + 256) >> 9); }
/* The same where the reset gate acts before: a state as it keeps it; and the new state from z and both parts of n. */
static inline int16_t vk_gru_kept(const vk_recurrent *layer, int32_t r, int32_t state) {
    return vk_sat16((vk_high(vk_sigmoid_q31(layer->sigmoid, r), state) + 128) >> 8);
}
static inline int32_t vk_gru_renewed(const vk_recurrent *layer, int32_t z, int32_t a, int32_t b, int32_t state) {
    const int32_t n = vk_tanh_q24(layer->tanh, vk_sat32((int64_t)a + b));
    return n + 2 * vk_high(vk_sigmoid_q31(layer->sigmoid, z), state - n);
}

/* Both layers over some frames, for a target's way to add: sums(layer, v, unit, sum). */
typedef void vk_sums(const vk_recurrent *layer, const int16_t *v, size_t unit, int32_t *sum);
static inline void vk_run_lstm(vk_sums *sums, const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in,
                               size_t in_step, int16_t *out, size_t out_step, size_t frames) {
    for (size_t t = 0; t < frames; t++, in += in_step, out += out_step) {
        vk_take_inputs(layer, v, in);
        for (size_t u = 0; u < layer->units; u++) {
            int32_t sum[VK_SUMS];
            sums(layer, v, u, sum);
            wide[u] = vk_lstm_cell(layer, sum, wide[u]);
            out[u] = vk_lstm_state(layer, vk_sigmoid_q31(layer->sigmoid, sum[1]), wide[u]);
        }
        vk_take_states(layer, v, out);
    }
}
static inline void vk_run_gru(vk_sums *sums, const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in,
                              size_t in_step, int16_t *out, size_t out_step, size_t frames) {
    for (size_t t = 0; t < frames; t++, in += in_step, out += out_step) {
        vk_take_inputs(layer, v, in);
        for (size_t u = 0; u < layer->units; u++) {
            int32_t sum[VK_SUMS];
            sums(layer, v, u, sum);
            wide[u] = vk_gru_state(layer, sum, wide[u]);
            out[u] = vk_gru_short(wide[u]);
        }
        vk_take_states(layer, v, out);
    }
}
static inline void vk_run_gru_before(vk_sums *sums, const vk_recurrent *layer, int16_t *v, int32_t *wide,
                                     const int16_t *in, size_t in_step, int16_t *out, size_t out_step, size_t frames) {
    int16_t *const kept = v + layer->columns;
    for (size_t t = 0; t < frames; t++, in += in_step, out += out_step) {
        int32_t sum[VK_SUMS], more[VK_SUMS];
        vk_take_inputs(layer, v, in);
        for (size_t u = 0; u < layer->units; u++) {
            sums(layer, v, u, sum);
            kept[u] = vk_gru_kept(layer, sum[1], wide[u]);
        }
        for (size_t u = 0; u < layer->units; u++) {
            sums(layer, v, u, sum);
            sums(layer, kept, u, more);
            wide[u] = vk_gru_renewed(layer, sum[0], sum[2], more[3], wide[u]);
            out[u] = vk_gru_short(wide[u]);
        }
        vk_take_states(layer, v, out);
    }
}
#endif
#endif
