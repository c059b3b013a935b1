/* One filter per channel: W8A16, W8A8 and float32. Frames outside, channels inside, taps innermost in registers. */
#include "arith.h"
#include "memory.h"

#if defined(__ARM_ARCH_7EM__)
/* Two channels to a word: one load of activations for both, one store. */
static inline void two_channels(const vk_depthwise *layer, const int16_t *x, int16_t *y, size_t c) {
    const vk_requant *q = &layer->requant[c];
    const int8_t *w = layer->weights + c;
    const int16_t *v = x + c;
    int32_t low = q[0].bias, high = q[1].bias;
    for (size_t k = layer->taps; k; k--, w += layer->pitch, v += layer->tap_step) {
        const uint32_t both = vk_load_word(v);
        low = __builtin_arm_smlabb((int32_t)both, w[0], low);
        high = __builtin_arm_smlatb((int32_t)both, w[1], high);
    }
    low = __builtin_arm_ssat(vk_requantize(low, q), 16);
    high = __builtin_arm_ssat(vk_requantize(high, q + 1), 16);
    vk_store_word(y + c, ((uint32_t)low & 0xffffu) | (uint32_t)high << 16);
}

#define TAPS 3u
#define MOST_SHIFT 8 /* that int16 weights have room for */

/* Three taps of two channels over all frames, in depthwise_m7.S. Weights of two channels to a word; steps in bytes. */
typedef struct three_taps {
    int32_t bias[2], multiplier[2];
    uint32_t weights[TAPS], tap, frame, out;
} three_taps;
void vk_m7_three_taps(const three_taps *spec, const int16_t *x, int16_t *y, size_t frames);

/* Biases and weights take up the shift: acc·2^shift is proven to fit. */
static void three(const vk_depthwise *layer, const int16_t *x, int16_t *y, size_t out_step, size_t frames, size_t c) {
    const vk_requant *q = &layer->requant[c];
    three_taps spec = {.tap = 2u * layer->tap_step, .frame = 2u * layer->frame_step, .out = 2u * (uint32_t)out_step};
    for (size_t i = 0; i < 2u; i++) {
        spec.bias[i] = vk_shifted(q[i].bias, q[i].shift);
        spec.multiplier[i] = q[i].multiplier;
    }
    for (size_t k = 0; k < TAPS; k++) {
        const int8_t *w = layer->weights + k * layer->pitch + c;
        spec.weights[k] = ((uint32_t)vk_shifted(w[0], q[0].shift) & 0xffffu) | (uint32_t)vk_shifted(w[1], q[1].shift)
                                                                                   << 16;
    }
    vk_m7_three_taps(&spec, x + c, y + c, frames);
}

/* Does what it can of several frames; returns the first channel that is not done. */
static size_t by_threes(const vk_depthwise *layer, const int16_t *x, int16_t *y, size_t out_step, size_t frames,
                        size_t first, size_t count) {
    size_t c = first;
    for (; layer->taps == TAPS && frames > 1u && c + 2u <= first + count; c += 2u) {
        const vk_requant *q = &layer->requant[c];
        if (q[0].shift > MOST_SHIFT || q[1].shift > MOST_SHIFT) {
            break;
        }
        three(layer, x, y, out_step, frames, c);
    }
    return c;
}
#endif

void vk_depthwise_w8a16(const vk_depthwise *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count) {
    size_t begin = first;
#if defined(__ARM_ARCH_7EM__)
    begin = by_threes(layer, window, out, out_step, frames, first, count);
#endif
    for (size_t t = 0; t < frames && begin < first + count; t++) {
        const int16_t *x = window + t * layer->frame_step;
        int16_t *y = out + t * out_step;
        size_t c = begin;
#if defined(__ARM_ARCH_7EM__)
        for (; c + 2u <= first + count; c += 2u) {
            two_channels(layer, x, y, c);
        }
#endif
        for (; c < first + count; c++) {
            int32_t acc = layer->requant[c].bias;
            for (size_t k = 0; k < layer->taps; k++) {
                acc += layer->weights[k * layer->pitch + c] * x[k * layer->tap_step + c];
            }
            y[c] = vk_sat16(vk_requantize(acc, &layer->requant[c]));
        }
    }
}

void vk_depthwise_w8a8(const vk_depthwise *layer, const int8_t *window, int8_t *out, size_t out_step, size_t frames,
                       size_t first, size_t count) {
    for (size_t t = 0; t < frames; t++) {
        const int8_t *x = window + t * layer->frame_step;
        int8_t *y = out + t * out_step;
        for (size_t c = first; c < first + count; c++) {
            int32_t acc = layer->requant[c].bias;
            for (size_t k = 0; k < layer->taps; k++) {
                acc += layer->weights[k * layer->pitch + c] * x[k * layer->tap_step + c];
            }
            y[c] = vk_sat8(vk_requantize(acc, &layer->requant[c]));
        }
    }
}

void vk_depthwise_f32(const vk_depthwise_float *layer, const float *window, float *out, size_t out_step, size_t frames,
                      size_t first, size_t count) {
    for (size_t t = 0; t < frames; t++) {
        const float *x = window + t * layer->frame_step;
        float *y = out + t * out_step;
        for (size_t c = first; c < first + count; c++) {
            float acc = layer->bias[c];
            for (size_t k = 0; k < layer->taps; k++) {
                acc += layer->weights[k * layer->pitch + c] * x[k * layer->tap_step + c];
            }
            y[c] = acc;
        }
    }
}
