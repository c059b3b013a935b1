/* A prior under moving controls, for one checksum a second, and every frame it plays; beside a generated instrument. */
#include "instrument.c"

#include "control/store.h"
#include "dsp/hash.h"

#define BLOCK 48u
#define BLOCKS_A_SECOND 1000u
#define PIECE 50u /* blocks from one target of a control to the next */

enum { MOVED = 0, FREE }; /* all controls; nothing: it answers from the beginning at one temperature */

static Panel hands;
static Prior minute;

static float moved(uint32_t what, uint32_t block) {
    const uint32_t piece = block / PIECE;
    const float from = (float)(hash32(what * 65536u + piece) >> 8),
                to = (float)(hash32(what * 65536u + piece + 1u) >> 8);
    const float way = (float)(block % PIECE) / (float)PIECE;
    return (from + way * (to - from)) / 16777216.0f;
}

static void set(int8_t parameter, float value) { hands.parameter[(uint8_t)parameter].value.to = value; }

static void move_hands(const PriorSpec *prior, uint32_t how, float temperature, uint32_t block) {
    const float depth = how == FREE ? 1.0f : bound_unit(4.0f * moved(0, block) - 1.0f);
    set(prior->depth, depth);
    set(prior->heat, how == FREE ? temperature : 2.0f * moved(1, block));
    const bool listens = how == MOVED && hash32(block / 700u) % 4u == 0u;
    hands.level[0] = listens ? 1u << prior->listen : 0u;
}

/* played: a frame each half frame, [latents], or NULL. */
void prior_minute(uint32_t seconds, uint32_t how, float temperature, uint32_t *sums, float *played) {
    const PriorSpec *const prior = texture_layer.prior;
    hands.ticks = BLOCK;
    prior_init(&minute, prior, &prior_state);
    for (uint32_t block = 0; block < seconds * BLOCKS_A_SECOND; ++block) {
        float latent[PRIOR_LATENTS];
        for (uint32_t i = 0; i < prior->latents; ++i) {
            latent[i] = how == FREE ? 0.0f : 4.0f * moved(100u + i, block) - 2.0f;
        }
        move_hands(prior, how, temperature, block);
        prior_advance(&minute, prior, &hands);
        prior_play(&minute, prior, &hands, latent);
        const uint32_t sum = block % BLOCKS_A_SECOND == 0 ? 0u : sums[block / BLOCKS_A_SECOND];
        sums[block / BLOCKS_A_SECOND] = store_crc32(sum, latent, prior->latents * sizeof *latent);
        if (played != NULL && block % 10u == 0) {
            for (uint32_t i = 0; i < prior->latents; ++i) {
                *played++ = latent[i];
            }
        }
    }
}

/* As latents_minute.c names it: for the programs and pages that print the sums. */
void latents_minute(uint32_t seconds, uint32_t *sums) { prior_minute(seconds, MOVED, 0.0f, sums, NULL); }
size_t prior_bytes(void) { return sizeof(Prior); }
