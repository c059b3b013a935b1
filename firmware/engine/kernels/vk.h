/* The kernels: what generated model code calls. One arithmetic on every processor, bit for bit:
 * docs/design.md#arithmetic.
 *
 * Layout. A tensor is [frames][pitch]: time-major, the channels of one frame side by side, oldest frame first.
 *   - pitch counts elements; for integers it is even and ≥ channels (odd channel counts leave one pad lane),
 *     for floats it is the channel count. Pad lanes hold any value; kernels may write them.
 *   - integer tensors start on 4 bytes and have at least 16 readable bytes after their last frame.
 *   - a convolution reads a *window*: history frames, then the new ones, in one contiguous run. With dilation 1
 *     a window of k taps × C channels is one run of k·C numbers, so a convolution is a dense dot product;
 *     dilated, it is k runs of C. After the call vk_slide moves the last frames to the front.
 *   - a transposed convolution (polyphase) is a convolution whose output channels are (phase, channel): one
 *     input frame writes `stride` output frames, which lie side by side. There is no second kernel.
 *
 * Weights are packed by firmware/kernelgen/packing.py, per target, and so are the fields of vk_conv.
 * Every function is reentrant, without heap, and touches only what its arguments name.
 */
#ifndef VAECTROL_KERNELS_VK_H
#define VAECTROL_KERNELS_VK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Slices of a layer begin at a multiple of this many output channels, on every target. */
#define VK_SLICE 8u

/* ---- convolution, dense layer, transposed convolution ---------------------------------------------------- */

/* One output channel: y = sat((acc·2^shift·multiplier + 2^31) >> 32), acc starting at bias. */
typedef struct vk_requant {
    int32_t bias, multiplier, shift;
} vk_requant;

typedef struct vk_conv {
    const void *weights;       /* packed for this target */
    const vk_requant *requant; /* [groups][channels rounded up to the block of the packing] */
    uint32_t frame_step;       /* elements between the windows of successive output frames: stride × in pitch */
    uint32_t run_step;         /* elements between runs: dilation × in pitch */
    uint16_t runs;             /* 1 when dilation is 1 and groups is 1, else the number of taps */
    uint16_t run;              /* elements per run that count (the packer pads the weights, not the data) */
    uint16_t groups;
    uint16_t group_in; /* elements between the inputs of successive groups; 0 when groups is 1 */
    uint16_t channels; /* output channels per group, phases included */
    uint16_t reserved;
} vk_conv;

/* out frame t, channel c at out[t·out_step + c]. `first` and `count` choose a slice: output channels when groups
 * is 1 (first a multiple of VK_SLICE; count too unless it reaches the end), else whole groups.
 * An odd last channel writes one pad lane beside it. */
void vk_conv_w8a16(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                   size_t first, size_t count);
#if defined(__ARM_ARCH_7EM__)
/* The same for a dense layer of few taps, stride 1, by straight-line code for its very shape, which comes with the
 * model (firmware/kernelgen/m7_short.py). One stream holds weights, times 2^shift, biases and multipliers. */
typedef void vk_short_code(const char *stream, const int16_t *window, int16_t *out, uint32_t fours, uint32_t ones,
                           uint32_t pairs, uint32_t run_bytes, uint32_t out_bytes);
typedef struct vk_short {
    const void *stream;
    vk_short_code *code;
    uint32_t run_bytes;  /* between taps: dilation × pitch × 2 */
    uint32_t pair_bytes; /* of the stream, for two output channels */
} vk_short;
void vk_conv_short(const vk_short *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                   size_t first, size_t count);
#endif
/* The same for layers whose sums may pass 2^31: int64 accumulators, bias·2^shift included; slower. */
void vk_conv_w8a16_wide(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count);
/* int8 activations: pitch a multiple of 4. Writes up to 3 pad lanes. */
void vk_conv_w8a8(const vk_conv *layer, const int8_t *window, int8_t *out, size_t out_step, size_t frames, size_t first,
                  size_t count);
/* Sums of several signals in one accumulator: a convolution, the mix of another signal and a residual with one
 * requantization, and a function of the result.
 *   acc = bias + Σ over taps and their elements of weight·x[tap][t·pitch(tap) + element],
 *   y = sat((acc·2^shift·multiplier + 2^31) >> 32), then looked up as by vk_table_fine_s16 where there is a curve.
 * Every tap has a pointer of its own to frame 0 of what it reads; pitches are even, pad lanes have weight 0. */
#define VK_MOST_TAPS 32u
#if defined(__ARM_ARCH_7EM__)
/* by straight-line code for its very shape, which comes with the model (firmware/kernelgen/m7_joined.py); out_step is
 * the shape's. curve: for each 2^shift inputs a slope and an offset, (slope·u + offset) >> 16 */
typedef void vk_joined_code(const void *stream, const int16_t *const *taps, int16_t *out, uint32_t fours, uint32_t ones,
                            uint32_t pairs, const int32_t *curve, int32_t minus_first);
typedef struct vk_joined {
    const void *stream;
    vk_joined_code *code;
    const int32_t *curve;
    int32_t minus_first; /* input of the first line, negated */
    uint32_t pairs;      /* of output channels */
} vk_joined;
#else
typedef struct vk_joined {
    const int16_t *weights; /* [blocks of 8 channels][elements of all taps][8] */
    const vk_requant *requant;
    const struct vk_table *curve; /* NULL: none */
    const uint16_t *pitches;      /* of every tap */
    uint16_t taps, channels;
} vk_joined;
#endif
void vk_joined_s16(const vk_joined *layer, const int16_t *const *taps, int16_t *out, size_t out_step, size_t frames);
/* float32: sums in ascending order of the window, so that every target rounds alike. requant is unused. */
typedef struct vk_conv_float {
    const float *weights, *bias;
    uint32_t frame_step, run_step;
    uint16_t runs, run, groups, group_in, channels, reserved;
} vk_conv_float;
void vk_conv_f32(const vk_conv_float *layer, const float *window, float *out, size_t out_step, size_t frames,
                 size_t first, size_t count);

/* One filter per channel. weights [taps][pitch] int8 / int16-free float, requant [pitch], bias [pitch]. */
typedef struct vk_depthwise {
    const int8_t *weights;
    const vk_requant *requant;
    uint32_t frame_step, tap_step; /* stride × pitch, dilation × pitch */
    uint16_t taps, pitch;
} vk_depthwise;
typedef struct vk_depthwise_float {
    const float *weights, *bias;
    uint32_t frame_step, tap_step;
    uint16_t taps, pitch;
} vk_depthwise_float;
/* first, count: channels; first even. */
void vk_depthwise_w8a16(const vk_depthwise *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                        size_t first, size_t count);
void vk_depthwise_w8a8(const vk_depthwise *layer, const int8_t *window, int8_t *out, size_t out_step, size_t frames,
                       size_t first, size_t count);
void vk_depthwise_f32(const vk_depthwise_float *layer, const float *window, float *out, size_t out_step, size_t frames,
                      size_t first, size_t count);

/* ---- moving ------------------------------------------------------------------------------------------------ */

/* Drop the first `advance` bytes of a window and move the `history` bytes after them to its front. */
void vk_slide(void *window, size_t advance, size_t history);
/* Rows of `bytes` bytes; also concat, split, slice (offset pointers). */
void vk_copy_rows(const void *in, size_t in_step_bytes, void *out, size_t out_step_bytes, size_t frames, size_t bytes);
/* Nearest upsampling: each row `repeat` times. */
void vk_repeat_rows(const void *in, size_t in_step_bytes, void *out, size_t out_step_bytes, size_t frames, size_t bytes,
                    size_t repeat);
void vk_zero(void *out, size_t bytes);
/* Any strides (transposes, odd concatenations, one lane spread over all: in_lane_step 0). Strides in elements. */
void vk_gather_s16(const int16_t *in, size_t in_step, size_t in_lane_step, int16_t *out, size_t out_step,
                   size_t out_lane_step, size_t frames, size_t lanes);
void vk_gather_s8(const int8_t *in, size_t in_step, size_t in_lane_step, int8_t *out, size_t out_step,
                  size_t out_lane_step, size_t frames, size_t lanes);
void vk_gather_f32(const float *in, size_t in_step, size_t in_lane_step, float *out, size_t out_step,
                   size_t out_lane_step, size_t frames, size_t lanes);

/* ---- element by element ------------------------------------------------------------------------------------
 * [frames][lanes]; every operand has its own step between frames, 0 repeats one row (a per-channel constant, or
 * a FiLM gain held over a block). When all steps equal lanes it is one flat loop. out may be an input. */

/* y = sat((a·multiplier_a + b·multiplier_b + 2^(shift-1)) >> shift), shift ≥ 1, |multipliers| ≤ 32767.
 * Linear upsampling is this per phase; subtraction a negative multiplier_b. */
typedef struct vk_add {
    int16_t multiplier_a, multiplier_b;
    int32_t shift;
} vk_add;
void vk_add_s16(const vk_add *q, const int16_t *a, size_t a_step, const int16_t *b, size_t b_step, int16_t *out,
                size_t out_step, size_t frames, size_t lanes);
void vk_add_s8(const vk_add *q, const int8_t *a, size_t a_step, const int8_t *b, size_t b_step, int8_t *out,
               size_t out_step, size_t frames, size_t lanes);

/* y = sat((v·2^shift·multiplier + 2^31) >> 32) with v = a·b (mul) or v = a (rescale). */
typedef struct vk_scale {
    int32_t multiplier, shift;
} vk_scale;
void vk_mul_s16(const vk_scale *q, const int16_t *a, size_t a_step, const int16_t *b, size_t b_step, int16_t *out,
                size_t out_step, size_t frames, size_t lanes);
void vk_mul_s8(const vk_scale *q, const int8_t *a, size_t a_step, const int8_t *b, size_t b_step, int8_t *out,
               size_t out_step, size_t frames, size_t lanes);
void vk_rescale_s16(const vk_scale *q, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                    size_t lanes);
void vk_rescale_s8(const vk_scale *q, const int8_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                   size_t lanes);
void vk_rescale_s16_s8(const vk_scale *q, const int16_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                       size_t lanes);
void vk_rescale_s8_s16(const vk_scale *q, const int8_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                       size_t lanes);

/* table[513] at x = -32768, -32640 … 32768: u = x + 32768, i = u >> 7, f = u & 127,
 * y = table[i] + (((table[i+1] - table[i])·f + 64) >> 7). */
void vk_table_s16(const int16_t *table, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                  size_t lanes);
/* The same with knots where they are wanted: u = min(max(x - first, 0), span), i = u >> shift,
 * f = u & (2^shift - 1), y = knots[i] + (((knots[i+1] - knots[i])·f + 2^shift / 2) >> shift).
 * There is one knot more than span >> shift says: one is read beyond the last. */
typedef struct vk_table {
    const int16_t *knots;
    int32_t first, span, shift; /* shift 0 … 7 */
} vk_table;
void vk_table_fine_s16(const vk_table *table, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                       size_t frames, size_t lanes);
/* y = table[x + 128] */
void vk_table_s8(const int8_t *table, const int8_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                 size_t lanes);
/* y = x ≥ 0 ? x : (x·slope + 2^14) >> 15, slope 0 … 32767 in Q15 */
void vk_leaky_s16(int32_t slope, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                  size_t lanes);
void vk_leaky_s8(int32_t slope, const int8_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                 size_t lanes);
/* low ≤ y ≤ high; Relu is (0, 32767) */
void vk_clip_s16(int32_t low, int32_t high, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                 size_t frames, size_t lanes);
void vk_clip_s8(int32_t low, int32_t high, const int8_t *a, size_t a_step, int8_t *out, size_t out_step, size_t frames,
                size_t lanes);

/* both, one after the other; low ≤ 0 ≤ high */
void vk_bend_s16(int32_t slope, int32_t low, int32_t high, const int16_t *a, size_t a_step, int16_t *out,
                 size_t out_step, size_t frames, size_t lanes);

/* Snake, x + sin²(ax)/a, per channel. p = (uint32)x·rate (mod 2^32; 2^32 is one period of sin²), i = p >> 23,
 * f = (p >> 16) & 127, s = vk_sin2[i] + (((vk_sin2[i+1] - vk_sin2[i])·f + 64) >> 7) in Q15,
 * y = sat((x·multiplier_x + s·multiplier_s + 2^(shift-1)) >> shift). */
typedef struct vk_snake {
    uint32_t rate;
    int16_t multiplier_x, multiplier_s;
    int32_t shift;
} vk_snake;
extern const int16_t vk_sin2[513];
void vk_snake_s16(const vk_snake *channel, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                  size_t frames, size_t lanes);

/* The end of a GRU step: y = n + (((h - n)·z + 2^14) >> 15), z in Q15 (0 … 32767), n and h on one scale. */
void vk_gru_blend_s16(const int16_t *z, const int16_t *n, const int16_t *h, int16_t *out, size_t lanes);

/* Recurrent layers (firmware/compiler/judge/recurrent.py). Four sums a unit over the vector v = [states in Q15 | inputs],
 * each >> shift to Q24: an LSTM's gates i, o, f, c; a GRU's z, r and the two parts of n. Lines of functions: [value,
 * slope], the pointer at the one of input 0; y = value + (slope·fraction >> 32) (kernels/recurrent.h).
 * wide: cells of an LSTM or states of a GRU, Q24 [units]. v and wide are zero after a reset. */
#if defined(__ARM_ARCH_7EM__)
/* One frame by straight-line code for the very shape, which comes with the model (firmware/kernelgen/m7_recurrent.py). */
typedef void vk_recurrent_code(const int16_t *stream, const int16_t *v, int32_t *wide, int16_t *out, uint32_t units,
                               const int32_t *sigmoid, const int32_t *tanh);
#endif
typedef struct vk_recurrent {
#if defined(__ARM_ARCH_7EM__)
    const int16_t *stream; /* units: four biases of two elements, then [columns / 2][four sums][2] */
    vk_recurrent_code *code;
#else
    const int16_t *weights; /* [units][columns / 2][four sums][2] */
    const int32_t *bias;    /* [units][4] */
#endif
    const int32_t *sigmoid; /* Q31 of Q24, 2^19 an entry */
    const int32_t *tanh;    /* Q24 of Q24, 2^18 an entry */
    uint16_t inputs;        /* elements of an input's frame */
    uint16_t units;
    uint16_t columns; /* of v: units rounded up to 2, and inputs */
    uint16_t shift;
} vk_recurrent;
void vk_lstm_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step, int16_t *out,
                 size_t out_step, size_t frames);
void vk_gru_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step, int16_t *out,
                size_t out_step, size_t frames);
/* The reset gate before the recurrent weights. v: two vectors, the second of states times their gates. */
void vk_gru_before_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                       int16_t *out, size_t out_step, size_t frames);

/* ---- float edges ------------------------------------------------------------------------------------------- */

/* y = sat(round_half_even(x / scale)), ONNX QuantizeLinear; NaN gives 0. Any strides, for planar ports. */
void vk_quantize_f32_s16(float scale, const float *in, size_t in_step, size_t in_lane_step, int16_t *out,
                         size_t out_step, size_t frames, size_t lanes);
void vk_quantize_f32_s8(float scale, const float *in, size_t in_step, size_t in_lane_step, int8_t *out, size_t out_step,
                        size_t frames, size_t lanes);
/* y = x·scale */
void vk_dequantize_s16_f32(float scale, const int16_t *in, size_t in_step, float *out, size_t out_step,
                           size_t out_lane_step, size_t frames, size_t lanes);
void vk_dequantize_s8_f32(float scale, const int8_t *in, size_t in_step, float *out, size_t out_step,
                          size_t out_lane_step, size_t frames, size_t lanes);

void vk_add_f32(const float *a, size_t a_step, const float *b, size_t b_step, float *out, size_t out_step,
                size_t frames, size_t lanes);
void vk_sub_f32(const float *a, size_t a_step, const float *b, size_t b_step, float *out, size_t out_step,
                size_t frames, size_t lanes);
void vk_mul_f32(const float *a, size_t a_step, const float *b, size_t b_step, float *out, size_t out_step,
                size_t frames, size_t lanes);
/* y = x·gain + offset, per channel */
void vk_scale_f32(const float *gain, const float *offset, const float *a, size_t a_step, float *out, size_t out_step,
                  size_t frames, size_t lanes);
void vk_leaky_f32(float slope, const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes);
void vk_clip_f32(float low, float high, const float *a, size_t a_step, float *out, size_t out_step, size_t frames,
                 size_t lanes);
/* Without libm, the same bits on every target; relative error below 3e-7 (tanh, softplus, erf: absolute). The sine of
 * any finite argument is within 1e-6; arguments beyond ±8192 take longer. */
void vk_exp_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes);
void vk_tanh_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes);
void vk_sigmoid_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes);
void vk_softplus_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes);
void vk_erf_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes);
void vk_sin_f32(const float *a, size_t a_step, float *out, size_t out_step, size_t frames, size_t lanes);
/* x + sin²(a·x)/a, rate[c] = a, scale[c] = 1/a */
void vk_snake_f32(const float *rate, const float *scale, const float *a, size_t a_step, float *out, size_t out_step,
                  size_t frames, size_t lanes);
/* y = n + (h - n)·z */
void vk_gru_blend_f32(const float *z, const float *n, const float *h, float *out, size_t lanes);

#ifdef __cplusplus
}
#endif
#endif
