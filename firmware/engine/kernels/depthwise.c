/* One filter per channel: W8A16, W8A8 and float32. Frames outside, channels inside, taps innermost in registers. */
#include "arith.h"
#include "memory.h"

#if defined(__ARM_ARCH_7EM__)
/* two channels to a word: one load of activations for both, one store */
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
#endif

void vk_depthwise_w8a16(const vk_depthwise *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count) {
    for (size_t t = 0; t < frames; t++) {
        const int16_t *x = window + t * layer->frame_step;
        int16_t *y = out + t * out_step;
        size_t c = first;
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
