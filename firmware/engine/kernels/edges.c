/* Between float and integers: where ADC volts come in and audio goes out. */
#include "arith.h"

/* Round half to even without libm: adding 1.5·2^23 leaves no fraction bits. Valid for |v| < 2^22; the range is cut
 * to the integer type's before. A NaN compares false everywhere and gives 0. */
static inline int32_t rounded(float v, float low, float high) {
#if defined(__ARM_ARCH_7EM__)
    /* VCVTR rounds half to even, saturates to 32 bits and makes 0 of a NaN */
    float bits;
    int32_t whole;
    __asm("vcvtr.s32.f32 %0, %1" : "=t"(bits) : "t"(v));
    __builtin_memcpy(&whole, &bits, sizeof whole);
    const int32_t least = (int32_t)low, most = (int32_t)high;
    return whole < least ? least : whole > most ? most : whole;
#else
    if (!(v >= low)) {
        v = v < low ? low : 0.0f;
    }
    if (v > high) {
        v = high;
    }
    const float magic = 12582912.0f;
    return (int32_t)((v + magic) - magic);
#endif
}

void vk_quantize_f32_s16(float scale, const float *in, size_t in_step, size_t in_lane_step, int16_t *out,
                         size_t out_step, size_t frames, size_t lanes) {
    if (lanes == 1u) { /* sound, as a rule: a short loop costs as much as its turns */
        for (size_t t = 0; t < frames; t++) {
            out[t * out_step] = (int16_t)rounded(in[t * in_step] / scale, -32768.0f, 32767.0f);
        }
        return;
    }
    for (size_t t = 0; t < frames; t++) {
        for (size_t c = 0; c < lanes; c++) {
            const float v = in[t * in_step + c * in_lane_step] / scale;
            out[t * out_step + c] = (int16_t)rounded(v, -32768.0f, 32767.0f);
        }
    }
}

void vk_quantize_f32_s8(float scale, const float *in, size_t in_step, size_t in_lane_step, int8_t *out, size_t out_step,
                        size_t frames, size_t lanes) {
    for (size_t t = 0; t < frames; t++) {
        for (size_t c = 0; c < lanes; c++) {
            const float v = in[t * in_step + c * in_lane_step] / scale;
            out[t * out_step + c] = (int8_t)rounded(v, -128.0f, 127.0f);
        }
    }
}

void vk_dequantize_s16_f32(float scale, const int16_t *in, size_t in_step, float *out, size_t out_step,
                           size_t out_lane_step, size_t frames, size_t lanes) {
    if (lanes == 1u) {
        for (size_t t = 0; t < frames; t++) {
            out[t * out_step] = (float)in[t * in_step] * scale;
        }
        return;
    }
    for (size_t t = 0; t < frames; t++) {
        for (size_t c = 0; c < lanes; c++) {
            out[t * out_step + c * out_lane_step] = (float)in[t * in_step + c] * scale;
        }
    }
}

void vk_dequantize_s8_f32(float scale, const int8_t *in, size_t in_step, float *out, size_t out_step,
                          size_t out_lane_step, size_t frames, size_t lanes) {
    for (size_t t = 0; t < frames; t++) {
        for (size_t c = 0; c < lanes; c++) {
            out[t * out_step + c * out_lane_step] = (float)in[t * in_step + c] * scale;
        }
    }
}
