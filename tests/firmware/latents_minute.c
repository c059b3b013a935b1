/* The whole latent layer under moving controls and gates, for one checksum a second: the same on every target. */
#include <stddef.h>

#include "control/store.h"
#include "dsp/hash.h"
#include "latents/latents.h"

#define BLOCK 48u
#define BLOCKS_A_SECOND 1000u
#define LATENTS 16u
#define KNOBS 9u
#define POINTS 5u
#define GATES 9u /* as below */
#define PARAMETERS 20u
#define PIECE 50u /* blocks from one target of a control to the next */

enum { CLOCK, RESET, RECORD, CLEAR, STRIKE, HOLD, TABLE_A, TABLE_B, START };
enum {
    DEPTH,
    STEPS,
    GLIDE,
    PROBABILITY,
    RATCHET,
    MUTATION,
    RATIO,
    TEMPO,
    HOLD_GLIDE,
    SCALE,
    BIAS,
    WANDER,
    RATE,
    SLEW,
    TABLE_DEPTH,
    SPEED,
    POSITION,
    BEGIN,
    LENGTH,
    MORPH
};

static float quantiles[LATENTS * POINTS], rests[LATENTS], reaches[LATENTS];
static const SequenceSpec steps = {.play = sequence_play,
                                   .latents = LATENTS,
                                   .knobs = KNOBS,
                                   .points = POINTS,
                                   .sample_rate_hz = 48000.0f,
                                   .quantile = quantiles,
                                   .clocked = true,
                                   .clock = CLOCK,
                                   .reset = RESET,
                                   .record = RECORD,
                                   .clear = CLEAR,
                                   .strike = STRIKE,
                                   .depth = DEPTH,
                                   .steps = STEPS,
                                   .glide = GLIDE,
                                   .probability = PROBABILITY,
                                   .ratchet = RATCHET,
                                   .mutation = MUTATION,
                                   .ratio = RATIO,
                                   .tempo = TEMPO};
static const TablesSpec recordings = {.play = tables_play,
                                      .latents = LATENTS,
                                      .sample_rate_hz = 48000.0f,
                                      .centre = rests,
                                      .reach = reaches,
                                      .record = {TABLE_A, TABLE_B},
                                      .start = START,
                                      .depth = TABLE_DEPTH,
                                      .speed = SPEED,
                                      .position = POSITION,
                                      .begin = BEGIN,
                                      .length = LENGTH,
                                      .morph = MORPH};
static const LatentSpec layer = {.process = latents_process,
                                 .latents = LATENTS,
                                 .points = POINTS,
                                 .sample_rate_hz = 48000.0f,
                                 .quantile = quantiles,
                                 .rest = rests,
                                 .held = 0xFFFFu,
                                 .hold = HOLD,
                                 .glide = HOLD_GLIDE,
                                 .scale = SCALE,
                                 .bias = BIAS,
                                 .depth = WANDER,
                                 .rate = RATE,
                                 .slew = SLEW,
                                 .sequence = &steps,
                                 .tables = &recordings};
/* Of every parameter: what its table says at the ends of the travel. */
static const float ends[PARAMETERS][2] = {
    [DEPTH] = {0, 1},    [STEPS] = {1, 16},   [GLIDE] = {0, 1},    [PROBABILITY] = {0, 1}, [RATCHET] = {1, 4},
    [MUTATION] = {0, 1}, [RATIO] = {0, 1},    [TEMPO] = {40, 240}, [HOLD_GLIDE] = {0, 2},  [SCALE] = {0, 2},
    [BIAS] = {-1, 1},    [WANDER] = {0, 1},   [RATE] = {0, 20},    [SLEW] = {0, 0.5f},     [TABLE_DEPTH] = {0, 1},
    [SPEED] = {-4, 4},   [POSITION] = {0, 1}, [BEGIN] = {0, 1},    [LENGTH] = {0, 1},      [MORPH] = {0, 1}};

static Panel panel;
static Sequence sequence;
static LatentBus bus;
#if defined(__ARM_ARCH_7EM__)
__attribute__((section(".sdram.tables")))
#endif
static TableFrame frames[TABLES * PORT_TABLE_FRAMES];
static Tables tables;

/* 0 … 1, drawn anew every piece, straight lines between. */
static float moved(uint32_t what, uint32_t block) {
    const uint32_t piece = block / PIECE;
    const float from = (float)(hash32(what * 65536u + piece) >> 8),
                to = (float)(hash32(what * 65536u + piece + 1u) >> 8);
    const float way = (float)(block % PIECE) / (float)PIECE;
    return (from + way * (to - from)) / 16777216.0f;
}

static void move_panel(uint32_t block) {
    for (uint32_t p = 0; p < PARAMETERS; ++p) {
        const float at = moved(p, block);
        panel.parameter[p].position = at;
        panel.parameter[p].value.to = ends[p][0] + at * (ends[p][1] - ends[p][0]);
    }
    uint32_t last = panel.last_level;
    panel.risen = 0;
    for (uint32_t i = 0; i < BLOCK; ++i) {
        uint32_t level = last;
        const uint32_t drawn = hash32(block * BLOCK + i + GOLDEN), gate = (drawn >> 16) % GATES;
        const bool seldom = gate == TABLE_A || gate == TABLE_B; /* so that there is time to play what they record */
        if ((drawn & 0x3FFu) < 4u && (!seldom || drawn >> 28 == 0)) {
            level ^= 1u << gate;
        }
        panel.level[i] = level & ~(1u << STRIKE);
        panel.rise[i] = panel.level[i] & ~last;
        panel.risen |= panel.rise[i];
        for (uint32_t g = 0; g < GATES; ++g) {
            panel.edges[g] += panel.rise[i] >> g & 1u;
        }
        last = panel.level[i];
    }
    panel.last_level = last;
}

void latents_minute(uint32_t seconds, uint32_t *sums) {
    for (uint32_t i = 0; i < LATENTS; ++i) {
        for (uint32_t p = 0; p < POINTS; ++p) {
            const float x = (float)p - 2.0f;
            quantiles[i * POINTS + p] = x * x * x * 0.3f + (float)i * 0.1f;
        }
        rests[i] = (float)i * 0.1f;
        reaches[i] = 2.4f / TABLE_FULL;
    }
    panel.ticks = BLOCK;
    sequence_init(&sequence, &steps);
    tables_init(&tables, frames);
    const LatentMemory memory = {&bus, &sequence, &tables, NULL};
    for (uint32_t block = 0; block < seconds * BLOCKS_A_SECOND; ++block) {
        float latent[LATENTS], knob[KNOBS];
        move_panel(block);
        for (uint32_t i = 0; i < LATENTS; ++i) {
            latent[i] = 6.0f * moved(100u + i, block) - 3.0f;
        }
        for (uint32_t i = 0; i < KNOBS; ++i) {
            knob[i] = moved(200u + i, block);
        }
        sequence_advance(&sequence, &steps, &panel);
        const bool jumps = latents_process(&memory, &layer, &panel, BLOCK, latent, knob);
        uint32_t sum = block % BLOCKS_A_SECOND == 0 ? 0u : sums[block / BLOCKS_A_SECOND];
        sum = store_crc32(sum + jumps, latent, sizeof latent);
        sum = store_crc32(sum, knob, sizeof knob);
        sums[block / BLOCKS_A_SECOND] = store_crc32(sum, panel.rise, BLOCK * sizeof *panel.rise);
    }
}
