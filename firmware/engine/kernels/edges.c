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

#if defined(__ARM_ARCH_7EM__)
#define TOGETHER 4u
#define NEAR_TIE 4u /* of 256: times 1 / scale, a number is less than 1.6 of them off, where it is in int16's range */

/* x / scale in parts of 256, towards zero; saturated to 32 bits, and 0 for a NaN */
static inline int32_t parts_of(float x, float inverse) {
    float fixed = x * inverse;
    int32_t parts;
    __asm("vcvt.s32.f32 %0, %0, #8" : "+t"(fixed));
    __builtin_memcpy(&parts, &fixed, sizeof parts);
    return parts;
}

/* A division takes 16 cycles: where the parts are so near to a tie that they might round otherwise, and else not. */
static inline int32_t settled(int32_t parts, float x, float scale, float low, float high) {
    const int32_t up = __builtin_arm_qadd(parts, 128), whole = up >> 8;
    const int32_t least = (int32_t)low, most = (int32_t)high;
    if (__builtin_expect((((uint32_t)up + NEAR_TIE) & 255u) < 2u * NEAR_TIE, 0)) {
        return rounded(x / scale, low, high);
    }
    return whole < least ? least : whole > most ? most : whole;
}

/* Four at a time: each has latencies that the others fill. Not where the processor takes 1 / scale for 0. */
#define QUANTIZE_FOURS(type, low, high)                                                                                \
    const float inverse = 1.0f / scale;                                                                                \
    for (; scale < 8e37f && c + TOGETHER <= lanes; c += TOGETHER, x += TOGETHER * in_lane_step) {                      \
        const float a = x[0], b = x[in_lane_step], d = x[2u * in_lane_step], e = x[3u * in_lane_step];                 \
        const int32_t i = parts_of(a, inverse), j = parts_of(b, inverse), k = parts_of(d, inverse),                    \
                      l = parts_of(e, inverse);                                                                        \
        y[c * lane_step] = (type)settled(i, a, scale, low, high);                                                      \
        y[(c + 1u) * lane_step] = (type)settled(j, b, scale, low, high);                                               \
        y[(c + 2u) * lane_step] = (type)settled(k, d, scale, low, high);                                               \
        y[(c + 3u) * lane_step] = (type)settled(l, e, scale, low, high);                                               \
    }
#else
#define QUANTIZE_FOURS(type, low, high)
#endif

/* of one lane, sound as a rule, the frames are done as lanes of one frame */
#define QUANTIZE(type, low, high)                                                                                      \
    size_t lane_step = 1u;                                                                                             \
    if (lanes == 1u) {                                                                                                 \
        lanes = frames;                                                                                                \
        frames = 1u;                                                                                                   \
        in_lane_step = in_step;                                                                                        \
        lane_step = out_step;                                                                                          \
    }                                                                                                                  \
    for (size_t t = 0; t < frames; t++) {                                                                              \
        const float *x = in + t * in_step;                                                                             \
        type *y = out + t * out_step;                                                                                  \
        size_t c = 0;                                                                                                  \
        QUANTIZE_FOURS(type, low, high)                                                                                \
        for (; c < lanes; c++, x += in_lane_step) {                                                                    \
            y[c * lane_step] = (type)rounded(*x / scale, low, high);                                                   \
        }                                                                                                              \
    }

void vk_quantize_f32_s16(float scale, const float *in, size_t in_step, size_t in_lane_step, int16_t *out,
                         size_t out_step, size_t frames, size_t lanes) {
    QUANTIZE(int16_t, -32768.0f, 32767.0f)
}

void vk_quantize_f32_s8(float scale, const float *in, size_t in_step, size_t in_lane_step, int8_t *out, size_t out_step,
                        size_t frames, size_t lanes) {
    QUANTIZE(int8_t, -128.0f, 127.0f)
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
