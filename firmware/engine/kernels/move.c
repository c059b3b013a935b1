/* Moving numbers without changing them: windows, concatenations, upsampling by repetition, transposes. */
#include "memory.h"
#include "vk.h"

void vk_slide(void *window, size_t advance, size_t history) {
    memmove(window, (const char *)window + advance, history);
}

void vk_copy_rows(const void *in, size_t in_step_bytes, void *out, size_t out_step_bytes, size_t frames,
                  size_t bytes) {
    if (in_step_bytes == bytes && out_step_bytes == bytes) {
        bytes *= frames;
        frames = frames ? 1u : 0u;
    }
    for (size_t t = 0; t < frames; t++) {
        memcpy((char *)out + t * out_step_bytes, (const char *)in + t * in_step_bytes, bytes);
    }
}

void vk_repeat_rows(const void *in, size_t in_step_bytes, void *out, size_t out_step_bytes, size_t frames,
                    size_t bytes, size_t repeat) {
    char *y = out;
    for (size_t t = 0; t < frames; t++) {
        for (size_t r = 0; r < repeat; r++, y += out_step_bytes) {
            memcpy(y, (const char *)in + t * in_step_bytes, bytes);
        }
    }
}

void vk_zero(void *out, size_t bytes) {
    memset(out, 0, bytes);
}

#define GATHER(suffix, type)                                                                                      \
    void vk_gather_##suffix(const type *in, size_t in_step, size_t in_lane_step, type *out, size_t out_step,       \
                            size_t out_lane_step, size_t frames, size_t lanes) {                                   \
        for (size_t t = 0; t < frames; t++) {                                                                      \
            for (size_t c = 0; c < lanes; c++) {                                                                   \
                out[t * out_step + c * out_lane_step] = in[t * in_step + c * in_lane_step];                        \
            }                                                                                                      \
        }                                                                                                          \
    }
GATHER(s16, int16_t)
GATHER(s8, int8_t)
GATHER(f32, float)
