/* Recurrent layers on a Cortex-M7: frame by frame, all units by the model's own code. */
#include "recurrent.h"

static void run(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step, int16_t *out,
                size_t out_step, size_t frames) {
    for (size_t t = 0; t < frames; t++, in += in_step, out += out_step) {
        vk_take_inputs(layer, v, in);
        layer->code(layer->stream, v, wide, out, layer->units, layer->sigmoid, layer->tanh);
        vk_take_states(layer, v, out);
    }
}

void vk_lstm_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step, int16_t *out,
                 size_t out_step, size_t frames) {
    run(layer, v, wide, in, in_step, out, out_step, frames);
}

void vk_gru_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step, int16_t *out,
                size_t out_step, size_t frames) {
    run(layer, v, wide, in, in_step, out, out_step, frames);
}

void vk_gru_before_s16(const vk_recurrent *layer, int16_t *v, int32_t *wide, const int16_t *in, size_t in_step,
                       int16_t *out, size_t out_step, size_t frames) {
    run(layer, v, wide, in, in_step, out, out_step, frames);
}
