/* A prior: listens, and goes on by itself. */
#include "prior.h"

#include "../control/bound.h"
#include "../control/table.h"
#include "../dsp/hash.h"

#define DUE(ticks) ((ticks) - (ticks) / 4u) /* when a frame's network is done, in samples */
#define COUPLED_FRAMES 16u                  /* until an answer is wholly where the training data are */
#define ASTRAY_FRAMES 64u
#define STILL_FRAMES 64u
#define STILL_STEP 0.002f /* of what a latent covers; below it, it stands still */

void prior_init(Prior *prior, const PriorSpec *spec, void *state) {
    prior->state = state;
    prior_reset(prior, spec);
}

void prior_reset(Prior *prior, const PriorSpec *spec) {
    *prior = (Prior){.state = prior->state};
    spec->network->reset(prior->state);
    spec->network->begin(prior->state, prior->now.latent, prior->now.held);
}

static float reach(const PriorSpec *spec, uint8_t latent) {
    const float *row = spec->data + (size_t)latent * spec->points;
    return row[spec->points - 1u] - row[0];
}

/* Evenly spread numbers of a frame: 24 bits, in 0 … 1. */
static float even(uint32_t frame, uint32_t lane) {
    return (float)(hash32(frame * 2u * PRIOR_LATENTS + lane + GOLDEN) >> 8) * (1.0f / 16777216.0f);
}

/* The next frame, drawn from what the network says. */
static void draw(Prior *prior, const PriorSpec *spec, float temperature, const float *steps, const float *chances) {
    const uint8_t count = spec->latents;
    const bool stirs = prior->still >= STILL_FRAMES;
    bool moves = false, strays = false;
    for (uint8_t i = 0; i < count; ++i) {
        const bool likely = even(prior->frame, 2u * i) < chances[2u * count + i] && !stirs;
        const uint8_t way = likely ? i : (uint8_t)(count + i);
        const float spread = spec->narrowest + spec->widest * chances[way];
        const float noise = table_at(spec->normal, PRIOR_CELLS + 1u, even(prior->frame, 2u * i + 1u));
        const float heat = stirs && temperature < 1.0f ? 1.0f : temperature;
        const float before = prior->now.latent[i];
        const float drawn = before + steps[way] + heat * spread * noise;
        const float z = bound(drawn, spec->low[i], spec->high[i]);
        moves |= magnitude(z - before) > STILL_STEP * reach(spec, i);
        strays |= z <= spec->low[i] || z >= spec->high[i];
        prior->now.latent[i] = z;
    }
    prior->still = moves || stirs ? 0u : (uint8_t)(prior->still + 1u);
    prior->astray = strays ? (uint8_t)(prior->astray + 1u) : 0u;
    if (prior->astray >= ASTRAY_FRAMES) {
        prior->now = prior->heard;
        prior->astray = 0;
    }
}

static void next_frame(Prior *prior, const PriorSpec *spec, float temperature) {
    float steps[2u * PRIOR_LATENTS], chances[3u * PRIOR_LATENTS];
    spec->network->reach(prior->state, 1u, 1u);
    spec->network->result(prior->state, steps, chances, prior->now.held);
    ++prior->frame;
    for (uint8_t i = 0; i < spec->latents; ++i) {
        prior->from[i] = prior->now.latent[i];
    }
    if (prior->answers) {
        draw(prior, spec, temperature, steps, chances);
        const float coupled = prior->coupled + 1.0f / (float)COUPLED_FRAMES;
        prior->coupled = coupled > 1.0f ? 1.0f : coupled;
    } else {
        for (uint8_t i = 0; i < spec->latents; ++i) {
            prior->now.latent[i] = prior->from[i] = bound(prior->coming[i], spec->low[i], spec->high[i]);
        }
        prior->heard = prior->now;
        prior->coupled = 0.0f;
    }
    spec->network->begin(prior->state, prior->now.latent, prior->now.held);
}

void prior_advance(Prior *prior, const PriorSpec *spec, const Panel *panel) {
    const bool listens = panel->level[0] >> spec->listen & 1u;
    prior->answers = !listens && panel_value(panel, (uint8_t)spec->depth) > 0.0f;
    if (prior->at >= spec->ticks) {
        prior->at -= spec->ticks;
        next_frame(prior, spec, bound(panel_value(panel, (uint8_t)spec->heat), 0.0f, 2.0f));
    }
    prior->at += (uint32_t)panel->ticks;
    const uint32_t due = DUE(spec->ticks);
    spec->network->reach(prior->state, prior->at < due ? prior->at : due, due);
}

/* Place of x among rising quantiles, 0 … 1. */
static float place(const float *table, uint16_t points, float x) {
    uint16_t low = 0, high = (uint16_t)(points - 1u);
    while (low + 1 < high) {
        const uint16_t middle = (uint16_t)((low + high) / 2u);
        if (x < table[middle]) {
            high = middle;
        } else {
            low = middle;
        }
    }
    const float part = bound_unit((x - table[low]) / (table[high] - table[low]));
    return ((float)low + part) / (float)(points - 1u);
}

void prior_play(Prior *prior, const PriorSpec *spec, const Panel *panel, float *latent) {
    for (uint8_t i = 0; i < spec->latents; ++i) {
        prior->coming[i] = latent[i];
    }
    if (!prior->answers) {
        return;
    }
    const float depth = bound_unit(panel_value(panel, (uint8_t)spec->depth));
    const float heat = panel_value(panel, (uint8_t)spec->heat);
    uint8_t warmer = 1;
    while (warmer < spec->temperatures - 1u && heat > spec->temperature[warmer]) {
        ++warmer;
    }
    const float cold = spec->temperature[warmer - 1u];
    const float warmth = bound_unit((heat - cold) / (spec->temperature[warmer] - cold));
    const float way = bound_unit((float)prior->at / (float)spec->ticks);
    const size_t row = (size_t)spec->latents * spec->points;
    const float *own = spec->own + (warmer - 1u) * row;
    for (uint8_t i = 0; i < spec->latents; ++i, own += spec->points) {
        const float raw = prior->from[i] + way * (prior->now.latent[i] - prior->from[i]);
        const float cool = place(own, spec->points, raw), warm = place(own + row, spec->points, raw);
        const float there = table_at(spec->data + (size_t)i * spec->points, spec->points,
                                     cool + warmth * (warm - cool));
        const float said = raw + prior->coupled * (there - raw);
        latent[i] += depth * (said - latent[i]);
    }
}
