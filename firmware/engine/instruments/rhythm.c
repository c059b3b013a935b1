/* A latent rhythm: a point in a space of drum patterns, played on a clock. */
#include "rhythm.h"

#define SWING_MOST (STEP_UNITS / 3)        /* odd sixteenths late by a third: triplets */
#define SHIFT_MOST (STEP_UNITS * 49 / 100) /* a step never passes its neighbour */
#define FOREVER INT64_MAX

static int64_t place_of(const Rhythm *rhythm, uint8_t voice, int64_t step) {
    const Pattern *pattern = &rhythm->pattern[rhythm->played];
    const float micro = pattern->microtiming[voice][step & (RHYTHM_STEPS - 1u)] * rhythm->timing;
    int64_t shift = (int64_t)(int32_t)((float)(STEP_UNITS >> 24) * bound(micro, -0.5f, 0.5f)) * (1 << 24);
    if (step & 1) {
        shift += (int64_t)(int32_t)((float)(SWING_MOST >> 24) * rhythm->swing) * (1 << 24);
    }
    if (shift > SHIFT_MOST) {
        shift = SHIFT_MOST;
    } else if (shift < -SHIFT_MOST) {
        shift = -SHIFT_MOST;
    }
    const int64_t place = step * STEP_UNITS + shift;
    return place < 0 ? 0 : place; /* nothing comes before the first step */
}

static void find_soonest(Rhythm *rhythm) {
    rhythm->soonest = FOREVER;
    for (uint8_t v = 0; v < RHYTHM_VOICES; ++v) {
        if (rhythm->next_place[v] < rhythm->soonest) {
            rhythm->soonest = rhythm->next_place[v];
        }
    }
}

static void rewind_steps(Rhythm *rhythm) {
    for (uint8_t v = 0; v < RHYTHM_VOICES; ++v) {
        rhythm->next_step[v] = 0;
        rhythm->next_place[v] = place_of(rhythm, v, 0);
    }
    rhythm->last_grid = -1;
    find_soonest(rhythm);
}

/* After a new pattern or another swing. A step that is now just past is played at once, rather late than never;
 * one that is long past is over. */
static void move_steps(Rhythm *rhythm) {
    for (uint8_t v = 0; v < RHYTHM_VOICES; ++v) {
        rhythm->next_place[v] = place_of(rhythm, v, rhythm->next_step[v]);
        if (rhythm->next_place[v] < rhythm->clock.place - STEP_UNITS / 4) {
            ++rhythm->next_step[v];
            rhythm->next_place[v] = place_of(rhythm, v, rhythm->next_step[v]);
        }
    }
    find_soonest(rhythm);
}

static void wrap_steps(Rhythm *rhythm) {
    const int64_t steps = step_clock_wrap(&rhythm->clock);
    if (steps == 0) {
        return;
    }
    for (uint8_t v = 0; v < RHYTHM_VOICES; ++v) {
        rhythm->next_step[v] -= steps;
        rhythm->next_place[v] -= steps * STEP_UNITS;
    }
    rhythm->last_grid -= steps;
    find_soonest(rhythm);
}

void rhythm_init(Rhythm *rhythm, const RhythmSpec *spec) {
    *rhythm = (Rhythm){.spec = spec, .timing = 1.0f};
    decision_init(&rhythm->decision, spec->model->decoder, spec->state);
    rhythm_reset(rhythm);
}

void rhythm_reset(Rhythm *rhythm) {
    step_clock_init(&rhythm->clock, rhythm->spec->sample_rate_hz, rhythm->spec->clocked);
    rewind_steps(rhythm);
    rhythm->pulses.high = 0;
}

/* The first pattern: what fell due before it was there is held, and only what is long past is left out. */
static void catch_up(Rhythm *rhythm) {
    const int64_t now = rhythm->clock.place < 0 ? 0 : (int64_t)step_of(rhythm->clock.place);
    for (uint8_t v = 0; v < RHYTHM_VOICES; ++v) {
        if (rhythm->next_step[v] < now) {
            rhythm->next_step[v] = now;
        }
    }
}

static void take_pattern(Rhythm *rhythm, bool first) {
    rhythm->played ^= 1u;
    rhythm->spec->model->result(rhythm->spec->state, &rhythm->pattern[rhythm->played]);
    if (first) {
        catch_up(rhythm);
    }
    move_steps(rhythm);
}

static void play_step(Rhythm *rhythm, const Panel *panel, uint8_t voice, uint16_t at, bool fill) {
    const RhythmSpec *spec = rhythm->spec;
    const size_t step = (size_t)(rhythm->next_step[voice] & (RHYTHM_STEPS - 1u));
    float density = panel_value(panel, (uint8_t)spec->density[voice]);
    if (fill) {
        /* more, but never every step, and never from nothing */
        density += panel_value(panel, (uint8_t)spec->fill) * density * (1.0f - density);
    }
    /* Density 0 is silence, 1 is every step. */
    const Pattern *pattern = &rhythm->pattern[rhythm->played];
    if (density <= 0.0f || pattern->onset[voice][step] < 1.0f - density) {
        return;
    }
    const float velocity = bound_unit(pattern->velocity[voice][step]);
    const bool accent = velocity >= 1.0f - panel_value(panel, (uint8_t)spec->accent);
    pulses_start(&rhythm->pulses, voice);
    if (accent) {
        pulses_start(&rhythm->pulses, RHYTHM_OUT_ACCENT);
    }
    rhythm->velocity[voice] = velocity;
    rhythm->velocity[RHYTHM_OUT_VELOCITY] = velocity;
    if (rhythm->hits < RHYTHM_HITS) {
        rhythm->hit[rhythm->hits++] = (Hit){.at = at, .voice = voice, .accent = accent, .velocity = velocity};
    }
}

static void play_due(Rhythm *rhythm, const Panel *panel, uint16_t at, bool fill) {
    /* A pulse moves the place by eight steps at most; twice that is the bound. */
    for (uint8_t turn = 0; turn < 16u && rhythm->soonest <= rhythm->clock.place; ++turn) {
        for (uint8_t v = 0; v < RHYTHM_VOICES; ++v) {
            if (rhythm->next_place[v] <= rhythm->clock.place) {
                play_step(rhythm, panel, v, at, fill);
                ++rhythm->next_step[v];
                rhythm->next_place[v] = place_of(rhythm, v, rhythm->next_step[v]);
            }
        }
        find_soonest(rhythm);
    }
}

static void play_grid(Rhythm *rhythm) {
    const int64_t grid = rhythm->clock.place < 0 ? -1 : (int64_t)step_of(rhythm->clock.place);
    if (grid != rhythm->last_grid) {
        rhythm->last_grid = grid;
        pulses_start(&rhythm->pulses, RHYTHM_OUT_STEP);
        if ((grid & (RHYTHM_STEPS - 1)) == 0) {
            pulses_start(&rhythm->pulses, RHYTHM_OUT_START);
        }
    }
}

/* Whether the place has left the step of the last pulse. */
static inline bool leaves_grid(const Rhythm *rhythm) {
    const int64_t begin = rhythm->last_grid * STEP_UNITS;
    return rhythm->clock.place < begin || rhythm->clock.place >= begin + STEP_UNITS;
}

void rhythm_advance(Rhythm *rhythm, const Panel *panel, size_t ticks) {
    const RhythmSpec *spec = rhythm->spec;
    tone_update(&rhythm->tone, &spec->tone, panel);
    const bool first = !rhythm->decision.playable, frozen = panel->level[0] >> RHYTHM_FREEZE & 1u;
    if (decision_advance(&rhythm->decision, &rhythm->tone, &spec->tone, frozen, panel->ticks)) {
        take_pattern(rhythm, first);
    }
    const float ratio = panel_position(panel, (uint8_t)spec->ratio) * (float)(STEP_CLOCK_RATIOS - 1u);
    step_clock_ratio(&rhythm->clock, (uint8_t)(ratio + 0.5f));
    const float swing = panel_value(panel, (uint8_t)spec->swing);
    const float timing = panel_value(panel, (uint8_t)spec->timing);
    if (swing != rhythm->swing || timing != rhythm->timing) {
        rhythm->swing = swing;
        rhythm->timing = timing;
        move_steps(rhythm);
    }
    const float tempo_bpm = panel_value(panel, (uint8_t)spec->tempo);
    const int64_t own_units = step_clock_own_units(tempo_bpm, spec->sample_rate_hz);

    wrap_steps(rhythm);
    rhythm->hits = 0;
    if (panel->remote_clock) {
        rhythm->clock.remote_ticks = REMOTE_TICKS;
    }
    for (size_t i = 0; i < ticks; ++i) {
        const uint32_t rise = panel->rise[i];
        const bool pulse = (rise >> RHYTHM_CLOCK & 1u) || (i == 0 && panel->remote_clock);
        const bool reset = (rise >> RHYTHM_RESET & 1u) || (i == 0 && panel->remote_reset);
        step_clock_tick(&rhythm->clock, own_units);
        if ((pulse || reset) && step_clock_obey(&rhythm->clock, pulse, reset)) {
            rewind_steps(rhythm);
        }
        if (!rhythm->clock.armed) {
            if (rhythm->decision.playable && rhythm->soonest <= rhythm->clock.place) {
                play_due(rhythm, panel, (uint16_t)i, panel->level[i] >> RHYTHM_FILL & 1u);
            }
            if (leaves_grid(rhythm)) {
                play_grid(rhythm);
            }
        }
        rhythm->gate_sources[i] = pulses_next(&rhythm->pulses);
        rhythm->last_velocity[i] = rhythm->velocity[RHYTHM_OUT_VELOCITY];
    }
}

void rhythm_outputs(const Rhythm *rhythm, const OutputSpec *outputs, const PortBlock *block) {
    output_gate_block(outputs, rhythm->gate_sources, block);
    /* In 24ths of a step and 12 more bits: a float holds them. */
    const uint32_t loop = 24u * RHYTHM_STEPS;
    const int64_t place = rhythm->clock.place < 0 ? 0 : rhythm->clock.place;
    const uint32_t whole = (uint32_t)(place >> 32) % loop;
    const float phase = (float)(whole << 12 | (uint32_t)(place >> 20 & 0xFFF)) / (float)(loop << 12);
    for (uint8_t c = 0; c < outputs->cvs; ++c) {
        const int8_t source = outputs->cv[c];
        float *out = block->cv_out[c];
        if (source == RHYTHM_OUT_VELOCITY) {
            for (size_t i = 0; i < block->ticks; ++i) {
                out[i] = 5.0f * rhythm->last_velocity[i];
            }
            continue;
        }
        const float unit = source == RHYTHM_OUT_PHASE ? phase : source >= 0 ? rhythm->velocity[source] : 0.0f;
        for (size_t i = 0; i < block->ticks; ++i) {
            out[i] = 5.0f * unit;
        }
    }
}

void rhythm_render(Rhythm *rhythm, const Panel *panel, const PortBlock *block) {
    rhythm_advance(rhythm, panel, block->ticks);
    rhythm_outputs(rhythm, &rhythm->spec->outputs, block);
    output_silence(&rhythm->spec->outputs, block);
}
