/* Convolutions of few taps on a Cortex-M7: four frames at a time, then those that are left, by the model's own code. */
#include "vk.h"

void vk_conv_short(const vk_short *layer, const int16_t *window, int16_t *out, size_t out_step, size_t frames,
                   size_t first, size_t count) {
    const char *stream = (const char *)layer->stream + first / 2u * layer->pair_bytes;
    layer->code(stream, window, out + first, (uint32_t)frames / 4u, (uint32_t)frames % 4u, ((uint32_t)count + 1u) / 2u,
                layer->run_bytes, 2u * (uint32_t)out_step);
}
