/* Moving numbers without changing them: windows, concatenations, upsampling by repetition, transposes. */
#include "memory.h"
#include "rows.h"
#include "vk.h"

void vk_slide(void *window, size_t advance, size_t history) {
    memmove(window, (const char *)window + advance, history);
}

void vk_copy_rows(const void *in, size_t in_step_bytes, void *out, size_t out_step_bytes, size_t frames, size_t bytes) {
    if (in_step_bytes == bytes && out_step_bytes == bytes) {
        bytes *= frames;
        frames = frames ? 1u : 0u;
    }
    for (size_t t = 0; t < frames; t++) {
        memcpy((char *)out + t * out_step_bytes, (const char *)in + t * in_step_bytes, bytes);
    }
}

/* Four words at a time stay in registers while they are written to every row. */
static size_t repeat_words(const char *x, char *y, size_t out_step_bytes, size_t bytes, size_t repeat) {
    size_t at = 0;
    for (; at + 16u <= bytes; at += 16u) {
        const uint32_t a = vk_load_word(x + at), b = vk_load_word(x + at + 4u), c = vk_load_word(x + at + 8u),
                       d = vk_load_word(x + at + 12u);
        char *to = y + at;
        VK_ROLLED for (size_t r = 0; r < repeat; r++, to += out_step_bytes) {
            vk_store_word(to, a);
            vk_store_word(to + 4, b);
            vk_store_word(to + 8, c);
            vk_store_word(to + 12, d);
        }
    }
    for (; at + 4u <= bytes; at += 4u) {
        const uint32_t a = vk_load_word(x + at);
        char *to = y + at;
        VK_ROLLED for (size_t r = 0; r < repeat; r++, to += out_step_bytes) { vk_store_word(to, a); }
    }
    return at;
}

void vk_repeat_rows(const void *in, size_t in_step_bytes, void *out, size_t out_step_bytes, size_t frames, size_t bytes,
                    size_t repeat) {
    char *y = out;
    for (size_t t = 0; t < frames; t++, y += repeat * out_step_bytes) {
        const char *x = (const char *)in + t * in_step_bytes;
        const size_t done = repeat_words(x, y, out_step_bytes, bytes, repeat);
        for (size_t r = 0; r < repeat && done < bytes; r++) {
            memcpy(y + r * out_step_bytes + done, x + done, bytes - done);
        }
    }
}

void vk_zero(void *out, size_t bytes) { memset(out, 0, bytes); }

/* The longer of the two loops is the inner one; the order does not matter to a copy. */
#define GATHER(suffix, type)                                                                                           \
    static void gather_##suffix(const type *in, size_t in_step, size_t in_lane_step, type *out, size_t out_step,       \
                                size_t out_lane_step, size_t frames, size_t lanes) {                                   \
        for (size_t t = 0; t < frames; t++) {                                                                          \
            if (in_lane_step == 1 && out_lane_step == 1) { /* the results of an event, mostly */                       \
                memmove(out + t * out_step, in + t * in_step, lanes * sizeof(type));                                   \
                continue;                                                                                              \
            }                                                                                                          \
            for (size_t c = 0; c < lanes; c++) {                                                                       \
                out[t * out_step + c * out_lane_step] = in[t * in_step + c * in_lane_step];                            \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    void vk_gather_##suffix(const type *in, size_t in_step, size_t in_lane_step, type *out, size_t out_step,           \
                            size_t out_lane_step, size_t frames, size_t lanes) {                                       \
        if (frames > lanes) {                                                                                          \
            gather_##suffix(in, in_lane_step, in_step, out, out_lane_step, out_step, lanes, frames);                   \
        } else {                                                                                                       \
            gather_##suffix(in, in_step, in_lane_step, out, out_step, out_lane_step, frames, lanes);                   \
        }                                                                                                              \
    }
GATHER(s16, int16_t)
GATHER(s8, int8_t)
GATHER(f32, float)
