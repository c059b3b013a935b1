/* The bare Cortex-M7 port: one block of memory in, one out, for the emulated board of the bench.
 *
 * Whoever runs it fills m7_block, calls m7_render and reads m7_block. The buffers lie in D2, where a Daisy's DMA
 * has them. No interrupt, no driver: what is measured here is the callback and nothing else.
 */
#include "port.h"

typedef struct M7Block {
    float inputs[PORT_MAX_INPUTS];
    uint32_t gates_in[PORT_MAX_BLOCK];
    uint32_t gates_out[PORT_MAX_BLOCK];
    float audio_in[PORT_MAX_AUDIO][PORT_MAX_BLOCK];
    float audio_out[PORT_MAX_AUDIO][PORT_MAX_BLOCK];
    float cv_out[PORT_MAX_CV_OUTS][PORT_MAX_BLOCK];
} M7Block;

__attribute__((section(".d2.m7_block"))) M7Block m7_block;

static void flush_denormals(void) {
    uint32_t control;
    __asm volatile("vmrs %0, fpscr" : "=r"(control));
    __asm volatile("vmsr fpscr, %0" ::"r"(control | (1u << 24)));
}

void m7_begin(void) {
    flush_denormals();
    instrument_init(instrument_info()->sample_rate_hz);
}

void m7_render(uint32_t ticks) {
    const float *audio_in[PORT_MAX_AUDIO];
    float *audio_out[PORT_MAX_AUDIO];
    float *cv_out[PORT_MAX_CV_OUTS];
    for (size_t c = 0; c < PORT_MAX_AUDIO; ++c) {
        audio_in[c] = m7_block.audio_in[c];
        audio_out[c] = m7_block.audio_out[c];
    }
    for (size_t c = 0; c < PORT_MAX_CV_OUTS; ++c) {
        cv_out[c] = m7_block.cv_out[c];
    }
    const PortBlock block = {
        .ticks = ticks,
        .inputs = m7_block.inputs,
        .gates_in = m7_block.gates_in,
        .audio_in = audio_in,
        .audio_out = audio_out,
        .cv_out = cv_out,
        .gates_out = m7_block.gates_out,
    };
    flush_denormals();
    instrument_render(&block);
}
