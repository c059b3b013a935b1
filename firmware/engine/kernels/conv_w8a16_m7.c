/* Convolution, int8 weights × int16 activations, on a Cortex-M7: which register block does what.
 *
 * Three frames at a time take blocks of 2 channels × 3 frames (vk_m7_conv_2x3, 0.51 cycle per multiply-accumulate
 * inside the loop), two frames 2 × 2 (vk_m7_conv_2x2, 0.57), a frame that is left 4 channels × 1 frame
 * (vk_m7_conv_4x1, 0.70). Each assembly function runs over all channels of the slice and requantizes what it sums:
 * see firmware/kernelgen/m7_conv.py and m7_woven.py. They read windows without gaps: a layer of several runs, or
 * three frames, is copied to the stack first, and one that is too long for that is done in 64 bits. Layers of few
 * taps and channels are packed for, and done by, conv_short_m7.c.
 */
#include <stdbool.h>

#include "arith.h"
#include "vk.h"

/* Each goes on to its twin with the suffix _far where the weights lie behind the cache, and are asked for early.
 * over: units of 4 taps beyond whole turns of the loops. out_last: of the last block. */
void vk_m7_conv_4x1(const int8_t *weights, const vk_requant *requant, const int16_t *window, int16_t *out,
                    const int16_t *out_last, uint32_t turns, uint32_t over);
/* frame_bytes, out_bytes: from the first frame of two to the second. quad_bytes: of four channels, less 8.
 * first_requant, first_out, all_pairs: requant, out and pairs again, for the next two frames. */
void vk_m7_conv_2x2(const int8_t *weights, const vk_requant *requant, const int16_t *window, int16_t *out,
                    uint32_t turns, uint32_t over, uint32_t pairs, uint32_t frame_bytes, uint32_t out_bytes,
                    uint32_t quad_bytes, uint32_t frame_pairs, const vk_requant *first_requant, int16_t *first_out,
                    uint32_t all_pairs);
/* woven: of each pair of taps, the words of three frames; end: the last three of them */
void vk_m7_conv_2x3(const int8_t *weights, const vk_requant *requant, const uint32_t *woven, int16_t *out,
                    uint32_t over, const uint32_t *end, uint32_t out_bytes, const int16_t *out_last,
                    uint32_t quad_bytes);
/* One window, one of three runs, or three windows word by word, without the gaps between runs.
 * units: of a run. gap: bytes from the end of a padded run to the next one. */
void vk_m7_join(const int16_t *window, uint32_t *joined, uint32_t runs, uint32_t units, int32_t gap);
void vk_m7_join_three(const int16_t *window, uint32_t *joined, uint32_t units, uint32_t run_bytes);
void vk_m7_weave(const int16_t *window, uint32_t *woven, uint32_t runs, uint32_t units, int32_t gap,
                 uint32_t frame_bytes);

#define TURN_UNITS 12u /* of 4 taps in a turn of the loops: kernelgen/assembly.py */
#define COPY_WORDS 768u
#define FEW 16u        /* channels, by the prices in firmware/compiler/plan/cost_table.json */
#define READ_BEYOND 4u /* words, by loops that load ahead */

/* each count of frames on its own: inlined, all of them would be prepared for in every call */
#define APART __attribute__((noinline)) static

/* What a call does to one group: its part of the layer, and where windows are copied to. */
typedef struct job {
    const vk_conv *layer;
    const int8_t *weights;
    const vk_requant *requant;
    uint32_t *copy;
    uint32_t run_units, units, channels, out_step;
} job;

static inline uint32_t turns(const job *j) { return (j->units + TURN_UNITS - 1u) / TURN_UNITS; }
static inline uint32_t over(const job *j) { return j->units % TURN_UNITS; }
static inline uint32_t quad_bytes(const job *j) { return 16u * j->units - 8u; }
static inline int32_t gap(const job *j) { return (int32_t)(2u * j->layer->run_step - 8u * j->run_units); }

/* A window without gaps between its runs, at `to` if it had any. */
static inline const int16_t *whole(const vk_conv *layer, uint32_t run_units, const int16_t *x, uint32_t *to) {
    if (layer->runs == 1u) {
        return x;
    }
    const uint32_t run_bytes = 2u * layer->run_step;
    if (layer->runs == 3u) {
        vk_m7_join_three(x, to, run_units, run_bytes);
    } else {
        vk_m7_join(x, to, layer->runs, run_units, (int32_t)(run_bytes - 8u * run_units));
    }
    return (const int16_t *)to;
}

APART void three_frames(const job *j, const int16_t *x, int16_t *y) {
    vk_m7_weave(x, j->copy, j->layer->runs, j->run_units, gap(j), 2u * j->layer->frame_step);
    vk_m7_conv_2x3(j->weights, j->requant, j->copy, y, over(j), j->copy + 6u * j->units - 3u, 2u * j->out_step,
                   y + ((j->channels - 1u) & ~1u), quad_bytes(j));
}

APART void two_frames(const job *j, const int16_t *x, int16_t *y, uint32_t frame_pairs) {
    const uint32_t pairs = (j->channels + 1u) / 2u;
    const int16_t *first = whole(j->layer, j->run_units, x, j->copy);
    const uint32_t frame_bytes =
        2u * (uint32_t)(whole(j->layer, j->run_units, x + j->layer->frame_step, j->copy + 2u * j->units) - first);
    vk_m7_conv_2x2(j->weights, j->requant, first, y, turns(j), over(j), pairs, frame_bytes, 2u * j->out_step,
                   quad_bytes(j), frame_pairs, j->requant, y, pairs);
}

/* One frame of a window without gaps. */
static inline void one_frame(const int8_t *weights, const vk_requant *requant, const int16_t *x, int16_t *y,
                             uint32_t units, uint32_t channels) {
    const uint32_t quads = (channels + 1u) / 4u; /* three channels are a quad with a pad lane, one or two a pair */
    const uint32_t turns = (units + TURN_UNITS - 1u) / TURN_UNITS, over = units % TURN_UNITS;
    if (quads) {
        vk_m7_conv_4x1(weights, requant, x, y, y + 4u * (quads - 1u), turns, over);
    }
    if ((channels + 1u) & 2u) {
        /* the pair that is left, as two frames that are one and the same */
        requant += 4u * quads;
        y += 4u * quads;
        vk_m7_conv_2x2(weights + 16u * units * quads, requant, x, y, turns, over, 1u, 0u, 0u, 0u, 1u, requant, y, 1u);
    }
}

APART void all_frames(const job *j, const int16_t *x, int16_t *y, uint32_t frames) {
    const uint32_t x_step = j->layer->frame_step, y_step = j->out_step;
    if (6u * j->units <= COPY_WORDS) {
        /* four frames are three and one, or two and two where few channels share the weaving */
        const uint32_t twice = j->channels < FEW && j->layer->runs == 1u ? 4u : 0u;
        for (; frames >= 3u && frames != twice; frames -= 3u, x += 3u * x_step, y += 3u * y_step) {
            three_frames(j, x, y);
        }
    }
    if (j->layer->runs == 1u && frames >= 2u) {
        const uint32_t even = frames & ~1u; /* windows that need no copy */
        two_frames(j, x, y, even / 2u);
        x += even * x_step;
        y += even * y_step;
        frames &= 1u;
    }
    if (4u * j->units <= COPY_WORDS) {
        for (; frames >= 2u; frames -= 2u, x += 2u * x_step, y += 2u * y_step) {
            two_frames(j, x, y, 1u);
        }
    }
    for (; frames; frames--, x += x_step, y += y_step) {
        one_frame(j->weights, j->requant, whole(j->layer, j->run_units, x, j->copy), y, j->units, j->channels);
    }
}

APART void all_groups(job *j, const int16_t *x, int16_t *y, uint32_t frames, size_t first, size_t count) {
    const vk_conv *layer = j->layer;
    const uint32_t channels = layer->channels, padded = (channels + 3u) & ~3u;
    j->channels = channels;
    for (size_t g = first; g < first + count; g++) {
        j->weights = (const int8_t *)layer->weights + g * padded * j->units * 4u;
        j->requant = layer->requant + g * padded;
        all_frames(j, x + g * layer->group_in, y + g * channels, frames);
    }
}

void vk_conv_w8a16(const vk_conv *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                   size_t first, size_t count) {
    uint32_t copy[COPY_WORDS + READ_BEYOND];
    const uint32_t runs = layer->runs, run_units = (layer->run + 3u) / 4u, units = runs * run_units;
    const bool is_grouped = layer->groups > 1u;
    if ((is_grouped && ((layer->channels | layer->group_in) & 1u)) || (runs > 1u && 2u * units > COPY_WORDS)) {
        /* pairs of channels, and of taps, would reach into the neighbouring group; or there is no room for a copy */
        vk_conv_w8a16_wide(layer, window, out, out_step, frames, first, count);
        return;
    }
    const int8_t *weights = (const int8_t *)layer->weights + first * units * 4u;
    const vk_requant *requant = layer->requant + first;
    if (frames == 1u && !is_grouped) {
        one_frame(weights, requant, whole(layer, run_units, window, copy), out + first, units, (uint32_t)count);
        return;
    }
    job j = {layer, weights, requant, copy, run_units, units, (uint32_t)count, (uint32_t)out_step};
    if (is_grouped) {
        all_groups(&j, window, out, (uint32_t)frames, first, count);
    } else {
        all_frames(&j, window, out + first, (uint32_t)frames);
    }
}
