/* One filter per channel: W8A16, W8A8 and float32. Frames outside, channels inside, taps innermost in registers. */
#include "arith.h"

void vk_depthwise_w8a16(const vk_depthwise *layer, const int16_t *window, int16_t *out, size_t out_step,
                        size_t frames, size_t first, size_t count) {
    for (size_t t = 0; t < frames; t++) {
        const int16_t *x = window + t * layer->frame_step;
        int16_t *y = out + t * out_step;
        for (size_t c = first; c < first + count; c++) {
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

void vk_depthwise_f32(const vk_depthwise_float *layer, const float *window, float *out, size_t out_step,
                      size_t frames, size_t first, size_t count) {
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
