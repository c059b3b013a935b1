/* The sequence of latents alone, on a panel that the test fills, for the tests. */
#include <stddef.h>

#include "latents/sequence_store.h"
#include "shim_flash.h"

#define BLOCK 48u
#define LATENTS 2u
#define SETTINGS 8u /* in the order of the parameters of a SequenceSpec */

/* What training data had: 0 … 8, and 0 … −8. */
static const float quantiles[] = {0.0f, 8.0f, -8.0f, 0.0f};

static const SequenceSpec shim_spec = {.latents = LATENTS,
                                       .hash = 77u,
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

size_t shim_sequence_bytes(void) { return sizeof(Sequence) + sizeof(SequenceStore); }

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

/* ---- what is stored: a sequence as long as there can be ---- */
static const SequenceSpec whole = {
    .latents = SEQUENCE_LATENTS, .knobs = SEQUENCE_VALUES - SEQUENCE_LATENTS, .sample_rate_hz = 48000.0f, .hash = 77u};
static Sequence kept, read_back;
static SequenceStore store;

uint8_t *shim_flash(void) { return flash; }
void shim_power(uint32_t bytes, uint32_t seed, uint32_t is_broken) {
    left = bytes;
    dirt = seed;
    broken = is_broken;
}
const char *shim_idle(void) { return sequence_store_idle(&store, &kept, &whole, &storage); }

/* Every value of a sequence says which sequence it is. */
static float value_of(uint32_t name, size_t at) { return (float)name + (float)at * 0.001f; }

/* As if a hand had recorded it, and it had rested since. */
void shim_fill(uint32_t name) {
    for (size_t i = 0; i < SEQUENCE_STEPS * SEQUENCE_VALUES; ++i) {
        kept.bank.value[i] = value_of(name, i);
    }
    kept.bank.recorded = name;
    kept.rested = ++kept.changes;
}

/* Which sequence a module with a model of this hash finds when it is switched on; 0: none. */
uint32_t shim_found(uint32_t hash) {
    SequenceSpec spec = whole;
    SequenceStore fresh = {0};
    spec.hash = hash;
    sequence_init(&read_back, &spec);
    (void)sequence_store_idle(&fresh, &read_back, &spec, &storage);
    const uint32_t name = read_back.bank.recorded;
    for (size_t i = 0; i < SEQUENCE_STEPS * SEQUENCE_VALUES && name != 0; ++i) {
        if (read_back.bank.value[i] != value_of(name, i)) {
            return UINT32_MAX;
        }
    }
    return name;
}

void shim_forget(void) {
    sequence_init(&kept, &whole);
    store = (SequenceStore){0};
    memset(flash, 0xFF, sizeof flash);
    shim_power(UINT32_MAX, 1, 0);
    (void)shim_idle();
}

/* Cuts the save of one sequence over another at every byte. Returns how many cuts left neither. */
uint32_t shim_cut_everywhere(uint32_t *cuts, uint32_t *news) {
    uint32_t lost = 0;
    shim_forget();
    shim_fill(0x00FFu);
    (void)shim_idle();
    shim_fill(0x0F0Fu);
    const SequenceStore before = store;
    memcpy(image, flash, sizeof flash);
    *news = 0;
    for (*cuts = 0;; ++*cuts) {
        memcpy(flash, image, sizeof flash);
        store = before;
        shim_power(*cuts, *cuts, 0);
        const bool done = shim_idle() == NULL;
        const uint32_t there = shim_found(whole.hash);
        *news += there == 0x0F0Fu;
        lost += there != 0x0F0Fu && (done || there != 0x00FFu);
        if (done) {
            return lost;
        }
    }
}

/* Seconds from the last record or mutation until it counts as rested; negative: it never does in a minute. */
float shim_rests(float seconds_of_record, float mutation) {
    static Panel panel;
    static Sequence sequence;
    static float latent[LATENTS];
    panel = (Panel){.ticks = BLOCK};
    sequence_init(&sequence, &shim_spec);
    static const float settings[SETTINGS] = {1.0f, 16.0f, 0.0f, 1.0f, 1.0f, 0.0f, 0.545f, 120.0f};
    for (size_t i = 0; i < SETTINGS; ++i) {
        panel.parameter[i].value.to = panel.parameter[i].position = settings[i];
    }
    uint32_t changes = 0;
    size_t last = 0;
    for (size_t b = 0; b < 60u * 1000u; ++b) {
        const bool records = (float)b < seconds_of_record * 1000.0f;
        panel.parameter[5].value.to = (float)b < 20.0f * 1000.0f ? mutation : 0.0f;
        for (size_t i = 0; i < BLOCK; ++i) {
            panel.level[i] = records ? 1u << 2 : 0u;
        }
        panel.risen = b == 0 && records ? 1u << 2 : 0u;
        panel.rise[0] = panel.risen;
        sequence_advance(&sequence, &shim_spec, &panel);
        (void)sequence_play(&sequence, &shim_spec, &panel, latent, NULL);
        last = sequence.changes != changes ? b : last;
        changes = sequence.changes;
        if (sequence.rested != 0) {
            return (float)(b - last) * 0.001f;
        }
    }
    return -1.0f;
}
