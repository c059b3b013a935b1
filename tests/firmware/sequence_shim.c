/* The sequence of latents alone, on a panel that the test fills, for the tests. */
#include <stddef.h>

#include "latents/sequence.h"

#define BLOCK 48u
#define LATENTS 2u
#define SETTINGS 8u /* in the order of the parameters of a SequenceSpec */

/* What training data had: 0 … 8, and 0 … −8. */
static const float quantiles[] = {0.0f, 8.0f, -8.0f, 0.0f};

static const SequenceSpec shim_spec = {.latents = LATENTS,
                                       .points = 2,
                                       .sample_rate_hz = 48000.0f,
                                       .quantile = quantiles,
                                       .clock = 0,
                                       .reset = 1,
                                       .record = 2,
                                       .clear = 3,
                                       .strike = 4,
                                       .depth = 0,
                                       .steps = 1,
                                       .glide = 2,
                                       .probability = 3,
                                       .ratchet = 4,
                                       .mutation = 5,
                                       .ratio = 6,
                                       .tempo = 7};

/* Whether so many samples at once leave the clock as one after the other does, where they are taken at all; drawn. */
bool shim_skips_as_it_ticks(bool clocked, uint32_t draws, uint32_t *skips) {
    StepClock one, other;
    uint32_t drawn = 1;
    step_clock_init(&one, 48000.0f, clocked);
    for (uint32_t n = 0; n < draws; ++n) {
        drawn = drawn * 1664525u + 1013904223u;
        const uint32_t ticks = 1u + (drawn >> 16) % 300u, event = drawn >> 8 & 31u;
        const int64_t own = step_clock_own_units(120.0f, 48000.0f);
        if (event == 1) {
            one.remote_ticks = 500u;
        }
        if (event < 3 || event == 3) {
            (void)step_clock_obey(&one, event < 3, event == 3);
        }
        other = one;
        const int64_t before = ((one.place >> 32) / 24 + 1) * STEP_UNITS;
        const bool skipped = step_clock_skip(&one, ticks, own, before);
        int64_t farthest = other.place;
        for (uint32_t i = 0; i < ticks; ++i) {
            step_clock_tick(&other, own);
            farthest = other.place > farthest ? other.place : farthest;
        }
        *skips += skipped;
        if (skipped && (one.place != other.place || one.pulse_place != other.pulse_place || farthest >= before ||
                        one.since_ticks != other.since_ticks || one.remote_ticks != other.remote_ticks)) {
            return false;
        }
        one = other;
    }
    return true;
}

size_t shim_sequence_bytes(void) { return sizeof(Sequence); }

/* gates[blocks·48]: levels of clock, reset, record, clear; settings[8]: values, the ratio as its position.
 * latent[blocks][2]: what comes, then what goes on. struck[blocks·48]: 1 where a step strikes. */
void shim_sequence(bool clocked, size_t blocks, const uint8_t *gates, const float *settings, float *latent,
                   uint8_t *struck) {
    static Panel panel;
    static Sequence sequence;
    SequenceSpec patched = shim_spec;
    patched.clocked = clocked;
    const SequenceSpec *spec = &patched;
    panel = (Panel){.ticks = BLOCK};
    sequence_init(&sequence, spec);
    for (size_t i = 0; i < SETTINGS; ++i) {
        panel.parameter[i].value.to = settings[i];
        panel.parameter[i].position = settings[i];
    }
    uint32_t last = 0;
    for (size_t b = 0; b < blocks; ++b) {
        panel.risen = 0;
        for (size_t i = 0; i < BLOCK; ++i) {
            panel.level[i] = gates[b * BLOCK + i];
            panel.rise[i] = panel.level[i] & ~last;
            last = panel.level[i];
            panel.risen |= panel.rise[i];
        }
        sequence_advance(&sequence, spec, &panel);
        for (size_t i = 0; i < BLOCK; ++i) {
            struck[b * BLOCK + i] = panel.rise[i] >> 4 & 1u;
        }
        (void)sequence_play(&sequence, spec, &panel, latent + b * LATENTS, NULL);
    }
}
