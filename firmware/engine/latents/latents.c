/* What happens to latents between the panel and a model. */
#include "latents.h"

#include "../control/table.h"

static float setting(const Panel *panel, int8_t parameter, float without) {
    return parameter < 0 ? without : panel_value(panel, (uint8_t)parameter);
}

static void shape(const LatentSpec *spec, const Panel *panel, float *latent) {
    const float scale = setting(panel, spec->scale, 1.0f), bias = setting(panel, spec->bias, 0.0f);
    if (scale != 1.0f || bias != 0.0f) {
        for (uint8_t i = 0; i < spec->latents; ++i) {
            const float *row = spec->quantile + (size_t)i * spec->points;
            const float half = 0.5f * (row[spec->points - 1u] - row[0]);
            latent[i] = spec->rest[i] + scale * (latent[i] - spec->rest[i]) + bias * half;
        }
    }
}

static void wander(LatentBus *bus, const LatentSpec *spec, const Panel *panel, float seconds, float *latent) {
    if (spec->depth < 0) {
        return;
    }
    wander_advance(&bus->wander, seconds * setting(panel, spec->rate, 1.0f));
    const float depth = bound_unit(panel_value(panel, (uint8_t)spec->depth));
    if (depth > 0.0f) {
        for (uint8_t i = 0; i < spec->latents; ++i) {
            const float *row = spec->quantile + (size_t)i * spec->points;
            const float there = table_at(row, spec->points, wander_place(&bus->wander, i));
            latent[i] += depth * (there - latent[i]);
        }
    }
}

/* One pole; 0 s passes what comes as it is. */
static void slew(LatentBus *bus, const LatentSpec *spec, const Panel *panel, float seconds, float *latent) {
    const float time = setting(panel, spec->slew, 0.0f);
    const float share = time > 0.0f && bus->started ? seconds / (time + seconds) : 1.0f;
    for (uint8_t i = 0; i < spec->latents; ++i) {
        if (share < 1.0f) {
            latent[i] = bus->slewed[i] + share * (latent[i] - bus->slewed[i]);
        }
        bus->slewed[i] = latent[i];
    }
}

bool latents_process(const LatentMemory *memory, const LatentSpec *spec, const Panel *panel, size_t ticks,
                     float *latent, float *knob) {
    LatentBus *bus = memory->bus;
    const float seconds = (float)ticks / spec->sample_rate_hz;
    bool jumps = false;
    if (spec->prior != NULL) {
        spec->prior->play(memory->prior, spec->prior, panel, latent);
    }
    if (spec->tables != NULL) {
        spec->tables->play(memory->tables, spec->tables, panel, ticks, latent);
    }
    if (spec->sequence != NULL) {
        jumps = spec->sequence->play(memory->sequence, spec->sequence, panel, latent, knob);
    }
    shape(spec, panel, latent);
    wander(bus, spec, panel, seconds, latent);
    slew(bus, spec, panel, seconds, latent);
    if (spec->hold >= 0) {
        const bool high = panel->level[0] >> spec->hold & 1u;
        hold_process(&bus->hold, high, spec->held, seconds, setting(panel, spec->glide, 0.0f), latent, spec->latents);
    }
    for (uint8_t i = 0; i < spec->latents; ++i) {
        const float *row = spec->quantile + (size_t)i * spec->points;
        const float stray = spec->stray * (row[spec->points - 1u] - row[0]);
        latent[i] = bound(latent[i], row[0] - stray, row[spec->points - 1u] + stray);
    }
    bus->started = true;
    return jumps;
}
