/* A whole instrument under moving controls, gates, commands and noise, for one checksum a second of all that it plays.
 *
 * All that goes in is drawn by a hash of when it does, so every target is played the same.
 */
#include "control/store.h"
#include "dsp/hash.h"
#include "port.h"

#include "../../firmware/ports/denormals.h"

#define BLOCK 48u
#define BLOCKS_A_SECOND 1000u
#define PIECE 50u /* blocks from one target of a control to the next */

#if defined(__ARM_ARCH_7EM__)
#define FAR __attribute__((section(".d2.minute"))) /* where a Daisy's DMA has them */
#else
#define FAR
#endif

typedef struct Minute {
    float audio_in[PORT_MAX_AUDIO][BLOCK], audio_out[PORT_MAX_AUDIO][BLOCK], cv_out[PORT_MAX_CV_OUTS][BLOCK];
    uint32_t gates_in[BLOCK], gates_out[BLOCK];
    float inputs[PORT_MAX_INPUTS];
    float loudest;
} Minute;

FAR static Minute minute;

static float drawn(uint32_t count) { return (float)(hash32(count) >> 8) / 16777216.0f; }

/* 0 … 1, drawn anew every piece, straight lines between. */
static float moved(uint32_t what, uint32_t block) {
    const float from = drawn(what * 65536u + block / PIECE), to = drawn(what * 65536u + block / PIECE + 1u);
    return from + (float)(block % PIECE) / (float)PIECE * (to - from);
}

static void move_jacks(const PortInfo *info, uint32_t block) {
    for (uint32_t i = 0; i < info->inputs; ++i) {
        minute.inputs[i] = moved(i, block);
    }
    for (uint32_t i = 0; i < BLOCK; ++i) {
        const uint32_t at = block * BLOCK + i, drawn_gate = hash32(at + GOLDEN);
        minute.gates_in[i] = minute.gates_in[i > 0 ? i - 1u : BLOCK - 1u];
        if ((drawn_gate & 0x3FFu) == 0 && info->gates_in > 0) {
            minute.gates_in[i] ^= 1u << (drawn_gate >> 16) % info->gates_in;
        }
        for (uint32_t c = 0; c < info->audio_in && c < PORT_MAX_AUDIO; ++c) {
            minute.audio_in[c][i] = (drawn(2u * at + c) - 0.5f) * moved(100u + c, block);
        }
    }
}

/* Every parameter and every gate function of the instrument, also those without a jack. */
static void command(const PortInfo *info, uint32_t block) {
    const uint32_t what = hash32(block + 7u * GOLDEN);
    if (block % 5u == 0) {
        (void)instrument_post((PortCommand){PORT_SET, (uint8_t)(what % info->parameters), drawn(what)});
    }
    if (block % 80u == 1u) {
        (void)instrument_post((PortCommand){PORT_GATE, (uint8_t)(what % 16u), (float)(what >> 20 & 1u)});
    }
}

static uint32_t sum_of(const PortInfo *info, uint32_t sum) {
    for (uint32_t c = 0; c < info->audio_out && c < PORT_MAX_AUDIO; ++c) {
        sum = store_crc32(sum, minute.audio_out[c], sizeof minute.audio_out[c]);
        for (uint32_t i = 0; i < BLOCK; ++i) {
            const float size = minute.audio_out[c][i] < 0.0f ? -minute.audio_out[c][i] : minute.audio_out[c][i];
            minute.loudest = size > minute.loudest ? size : minute.loudest;
        }
    }
    for (uint32_t c = 0; c < info->cv_outs && c < PORT_MAX_CV_OUTS; ++c) {
        sum = store_crc32(sum, minute.cv_out[c], sizeof minute.cv_out[c]);
    }
    return store_crc32(sum, minute.gates_out, sizeof minute.gates_out);
}

/* As latents_minute.c names it, for the programs and pages that print the sums. A silent minute has sums of 0. */
void latents_minute(uint32_t seconds, uint32_t *sums) {
    const PortInfo *info = instrument_info();
    const float *audio_in[PORT_MAX_AUDIO];
    float *audio_out[PORT_MAX_AUDIO], *cv_out[PORT_MAX_CV_OUTS];
    for (uint32_t c = 0; c < PORT_MAX_AUDIO; ++c) {
        audio_in[c] = minute.audio_in[c];
        audio_out[c] = minute.audio_out[c];
    }
    for (uint32_t c = 0; c < PORT_MAX_CV_OUTS; ++c) {
        cv_out[c] = minute.cv_out[c];
    }
    const PortBlock port = {.ticks = BLOCK,
                            .inputs = minute.inputs,
                            .gates_in = minute.gates_in,
                            .audio_in = info->audio_in > 0 ? audio_in : NULL,
                            .audio_out = audio_out,
                            .cv_out = cv_out,
                            .gates_out = minute.gates_out};
    (void)flush_denormals();
    instrument_init(info->sample_rate_hz);
    for (uint32_t block = 0; block < seconds * BLOCKS_A_SECOND; ++block) {
        move_jacks(info, block);
        command(info, block);
        instrument_render(&port);
        const uint32_t before = block % BLOCKS_A_SECOND == 0 ? 0u : sums[block / BLOCKS_A_SECOND];
        sums[block / BLOCKS_A_SECOND] = sum_of(info, before);
    }
    for (uint32_t s = 0; s < seconds && !(minute.loudest > 0.02f && minute.loudest <= 1.0f); ++s) {
        sums[s] = 0;
    }
}
