/* An oscillator that follows one volt per octave, whose timbre a network says. */
#include "oscillator.h"

#include "../control/bound.h"
#include "../dsp/quick.h"

#define QUARTER_S 0.001f
#define TURN_HZ (4294967296.0f / 48000.0f)
#define A3_HZ 220.0f
#define C2_OCTAVES (-1.75f) /* what 0 V is, above 220 Hz */
#define LOWEST (-3.5f)
#define HIGHEST 4.5f
#define BEND 20.0f
#define LOG_PER_DB 0.115129255f
#define QUIETEST_DB (-36.0f) /* that a timbre may ask for, far from the notes it was learnt from */
#define LOUDEST_DB (-3.0f)
#define ACCENT_DB 6.0f
#define ACCENTED 0.81f /* velocity 115 of 127, from −1 to 1 */
#define SWELL_S 0.35f  /* in which vibrato comes in */
#define DEEPEST (100.0f / 1200.0f)
#define NOISE_LOWEST (-12.0f)
#define SEMITONE (1.0f / 12.0f)
#define AT_ONCE 4u /* ticks in a call: a block of 16 has as many */

static const float AGE_S[NOTE_AGES] = NOTE_AGE_S;

static uint32_t phase_step(float octaves) {
    return (uint32_t)(A3_HZ * TURN_HZ * natural_exp(0.693147181f * bound(octaves, LOWEST, HIGHEST)));
}

/* Ticks of a frame: those of the network that says loudness come first. */
static uint8_t frame_ticks(const Oscillator *oscillator) {
    return (uint8_t)(OSCILLATOR_TICKS + (oscillator->spec->expression != NULL ? OSCILLATOR_CALLS : 0u));
}

void oscillator_init(Oscillator *oscillator, const OscillatorSpec *spec) {
    oscillator->spec = spec;
    oscillator->tone.started = false;
    oscillator_reset(oscillator);
}

void oscillator_reset(Oscillator *oscillator) {
    const OscillatorSpec *spec = oscillator->spec;
    const Tone tone = oscillator->tone;
    *oscillator = (Oscillator){.spec = spec, .tone = tone, .left = OSCILLATOR_QUARTERS, .place = VK_HIT_FRAME};
    oscillator->owed = frame_ticks(oscillator);
    spec->model->reset(spec->state);
    if (spec->expression != NULL) {
        spec->expression->reset(spec->expression_state);
    }
    expression_reset(&oscillator->expression);
    vk_harmonics_reset(&oscillator->harmonics, phase_step(0.0f));
    const vk_band_filter silent = {.scale = 0.0f};
    vk_bands_start(&oscillator->bands, vk_hit_key(spec->model->seed, 0), &silent);
    for (uint32_t b = 0; b < VK_BANDS; ++b) {
        oscillator->noise[0][b] = NOISE_LOWEST;
        oscillator->noise[1][b] = NOISE_LOWEST;
    }
    oscillator->loudness = NOTE_DEAD_DB;
    oscillator->part = OSCILLATOR_QUARTERS;
    oscillator->fallen = -NOTE_DEAD_DB;
}

static float value(const Oscillator *oscillator, const Panel *panel, int8_t parameter) {
    return ramp_at(&panel->parameter[(uint8_t)parameter].value, oscillator->share);
}

/* Pitch that is asked for, in octaves above 220 Hz. */
static float asked(const Oscillator *oscillator, const Panel *panel) {
    const OscillatorSpec *spec = oscillator->spec;
    const float volts = value(oscillator, panel, spec->pitch) + value(oscillator, panel, spec->tune);
    return bound(C2_OCTAVES + volts + SEMITONE * value(oscillator, panel, spec->fine), LOWEST, HIGHEST);
}

/* Glide and vibrato, a quarter further. */
static void move_pitch(Oscillator *oscillator, const Panel *panel) {
    const OscillatorSpec *spec = oscillator->spec;
    const float glide_s = value(oscillator, panel, spec->glide), to = asked(oscillator, panel);
    const float way = glide_s > QUARTER_S ? 1.0f - natural_exp(-QUARTER_S / glide_s) : 1.0f;
    oscillator->octaves = way < 1.0f ? oscillator->octaves + way * (to - oscillator->octaves) : to;
    oscillator->vibrato += QUARTER_S * value(oscillator, panel, spec->rate);
    oscillator->vibrato -= oscillator->vibrato >= 1.0f ? 1.0f : 0.0f;
    oscillator->swell += (1.0f - oscillator->swell) * (QUARTER_S / SWELL_S);
}

static float with_vibrato(const Oscillator *oscillator, const Panel *panel) {
    f4 cosine, sine;
    quick_turn(all(oscillator->vibrato), &cosine, &sine);
    const float depth = DEEPEST * oscillator->swell * value(oscillator, panel, oscillator->spec->vibrato);
    return oscillator->octaves + depth * sine[0];
}

/* How this timbre's loudness moves at this pitch. */
static void find_habits(Oscillator *oscillator) {
    const OscillatorSpec *spec = oscillator->spec;
    const uint8_t latents = spec->tone.latents;
    const float *row = spec->model->habit;
    for (uint32_t h = 0; h < OSCILLATOR_HABITS; ++h, row += latents + 3u) {
        float sum = row[latents + 2u] + row[latents] * oscillator->octaves +
                    row[latents + 1u] * oscillator->octaves * oscillator->octaves;
        for (uint8_t i = 0; i < latents; ++i) {
            sum += row[i] * oscillator->latent[i];
        }
        oscillator->habit[h] = sum;
    }
}

/* Loudness of the frame that begins, by habit. */
static void move_by_habit(Oscillator *oscillator, const Panel *panel) {
    const OscillatorSpec *spec = oscillator->spec;
    find_habits(oscillator);
    const float *habit = oscillator->habit;
    if (oscillator->first) {
        oscillator->behind = bound(habit[OSCILLATOR_DEPTH], 1.0f, 40.0f);
        oscillator->fallen = 0.0f;
        oscillator->sounds = true;
    }
    const float attack_s = bound(natural_exp(habit[OSCILLATOR_ATTACK] + value(oscillator, panel, spec->attack)), 0.002f,
                                 2.0f);
    const float decay = bound(habit[OSCILLATOR_DECAY] * value(oscillator, panel, spec->decay), 0.0f, 200.0f);
    const float release = bound(natural_exp(habit[OSCILLATOR_RELEASE] - value(oscillator, panel, spec->release)), 10.0f,
                                3000.0f);
    const float own = bound(habit[OSCILLATOR_PEAK], QUIETEST_DB, LOUDEST_DB);
    const float peak = own + value(oscillator, panel, spec->dynamics) + oscillator->accented + oscillator->velocity;
    oscillator->loudness = bound(peak, NOTE_DEAD_DB, LOUDEST_DB) - oscillator->behind - oscillator->fallen;
    if (oscillator->loudness <= NOTE_DEAD_DB) {
        oscillator->loudness = NOTE_DEAD_DB;
        oscillator->sounds = oscillator->sounds &&
                             oscillator->gate; /* a quiet one under a high gate may be turned up again */
    }
    oscillator->behind *= natural_exp(-NOTE_FRAME_S / attack_s);
    oscillator->fallen = bound(oscillator->fallen + NOTE_FRAME_S * (oscillator->gate ? decay : release), 0.0f, 200.0f);
}

/* What the network that says loudness is told of the frame that begins. */
static void begin_expression(Oscillator *oscillator, const Panel *panel) {
    const OscillatorSpec *spec = oscillator->spec;
    for (uint8_t i = 0; i < spec->expression->latents; ++i) {
        oscillator->manner[i] = value(oscillator, panel, (int8_t)(spec->manner + i));
    }
    const float velocity = oscillator->accented > 0.0f && oscillator->velocity < ACCENTED ? ACCENTED
                                                                                          : oscillator->velocity;
    oscillator->hands = (ExpressionHands){
        .timbre = oscillator->latent,
        .manner = oscillator->manner,
        .octaves = oscillator->octaves,
        .velocity = velocity,
        .life = value(oscillator, panel, spec->life),
        .attack = value(oscillator, panel, spec->attack),
        .decay = value(oscillator, panel, spec->decay),
        .release = value(oscillator, panel, spec->release),
        .event = (uint8_t)(value(oscillator, panel, spec->event) + 0.5f),
        .gate = oscillator->gate,
        .fresh = oscillator->first,
    };
    expression_begin(&oscillator->expression, spec->expression, &oscillator->hands);
}

/* Loudness of the frame, as it was said. */
static void move_by_expression(Oscillator *oscillator, const Panel *panel) {
    Expression *expression = &oscillator->expression;
    expression_end(expression, &oscillator->hands);
    oscillator->sounds = oscillator->sounds || oscillator->first;
    oscillator->loudness = NOTE_DEAD_DB;
    if (expression->loudness > NOTE_DEAD_DB) {
        const float asked = expression->loudness + value(oscillator, panel, oscillator->spec->dynamics);
        oscillator->loudness = bound(asked, NOTE_DEAD_DB, LOUDEST_DB);
    }
    oscillator->sounds = oscillator->sounds && (oscillator->loudness > NOTE_DEAD_DB || oscillator->gate);
}

/* A frame begins: hands are read. */
static void begin_frame(Oscillator *oscillator, const Panel *panel) {
    const OscillatorSpec *spec = oscillator->spec;
    oscillator->first = oscillator->fresh;
    for (uint8_t i = 0; i < spec->tone.latents; ++i) {
        oscillator->latent[i] = ramp_at(&oscillator->tone.latent[i], oscillator->share);
    }
    if (oscillator->first) {
        oscillator->swell = 0.0f;
        oscillator->accented = oscillator->accent ? ACCENT_DB : 0.0f;
        oscillator->velocity = value(oscillator, panel, spec->velocity);
    }
    for (uint32_t a = 0; a < NOTE_AGES; ++a) {
        oscillator->age[a] = oscillator->first ? 1.0f : oscillator->age[a] * natural_exp(-NOTE_FRAME_S / AGE_S[a]);
        oscillator->control[4u + a] = oscillator->age[a];
    }
    if (spec->expression != NULL) {
        begin_expression(oscillator, panel);
    }
}

/* Loudness of the frame is known: what the network is told. */
static void tell_network(Oscillator *oscillator, const Panel *panel) {
    if (oscillator->spec->expression != NULL) {
        move_by_expression(oscillator, panel);
    } else {
        move_by_habit(oscillator, panel);
    }
    const float octaves = with_vibrato(oscillator, panel) + oscillator->expression.octaves_beside;
    oscillator->control[0] = octaves;
    oscillator->control[1] = oscillator->first ? 0.0f : bound(BEND * (octaves - oscillator->told), -4.0f, 4.0f);
    oscillator->control[2] = (oscillator->loudness + NOTE_LOUDNESS_DB) * (1.0f / NOTE_LOUDNESS_DB);
    oscillator->control[3] = oscillator->gate ? 1.0f : 0.0f;
    oscillator->told = octaves;
    oscillator->offset = oscillator->loudness * LOG_PER_DB;
}

/* The answer is there: what sounds goes over to it from now on. */
static void take_answer(Oscillator *oscillator, const Panel *panel) {
    const OscillatorSpec *spec = oscillator->spec;
    const OscillatorModel *model = spec->model;
    const uint32_t count = model->harmonics;
    oscillator->newer ^= 1u;
    float *level = oscillator->level[oscillator->newer], *noise = oscillator->noise[oscillator->newer];
    vk_harmonics_levels(oscillator->offset, oscillator->numbers, level, count);
    const float breath = oscillator->offset + value(oscillator, panel, spec->breath) + oscillator->expression.breath;
    for (uint32_t b = 0; b < model->bands.count; ++b) {
        noise[b] = oscillator->sounds ? oscillator->numbers[count + b] + breath : NOISE_LOWEST;
    }
    for (uint32_t k = 0; k < count && !oscillator->sounds; ++k) {
        level[k] = 0.0f;
    }
    oscillator->envelope = oscillator->sounds ? natural_exp(oscillator->offset) : 0.0f;
    const float beside = oscillator->expression.octaves_beside;
    oscillator->beside[0] = oscillator->first ? beside : oscillator->beside[1];
    oscillator->beside[1] = beside;
    oscillator->part = 0;
    oscillator->waits = oscillator->waits && !oscillator->fresh;
    oscillator->fresh = false;
}

/* A note begins: the frame worked at is finished, and nobody listens to it. */
static void strike(Oscillator *oscillator) {
    oscillator->waits = true;
    oscillator->fresh = true;
    const uint8_t whole = frame_ticks(oscillator);
    oscillator->owed = (uint8_t)(oscillator->done > 0 ? 2u * whole - oscillator->done : whole);
    oscillator->left = OSCILLATOR_QUARTERS;
}

/* Ticks of the network that are due in this quarter. */
static void work(Oscillator *oscillator, const Panel *panel) {
    const OscillatorSpec *spec = oscillator->spec;
    if (oscillator->struck && !oscillator->waits) {
        strike(oscillator);
    }
    oscillator->struck = false;
    uint8_t ticks = (uint8_t)((oscillator->owed + oscillator->left - 1u) / oscillator->left);
    oscillator->owed = (uint8_t)(oscillator->owed - ticks);
    const uint8_t whole = frame_ticks(oscillator), told = (uint8_t)(whole - OSCILLATOR_TICKS);
    while (ticks > 0) {
        if (oscillator->done == 0) {
            begin_frame(oscillator, panel);
        }
        if (oscillator->done < told) {
            spec->expression->process(spec->expression_state, OSCILLATOR_TICKS / OSCILLATOR_CALLS,
                                      oscillator->expression.latent, oscillator->expression.told,
                                      oscillator->expression.curve);
            ++oscillator->done;
            --ticks;
            continue;
        }
        if (oscillator->done == told) {
            tell_network(oscillator, panel);
        }
        const uint8_t to_end = (uint8_t)(whole - oscillator->done), most = to_end < AT_ONCE ? to_end : AT_ONCE;
        const uint8_t now = ticks < most ? ticks : most;
        spec->model->process(spec->state, now, oscillator->latent, oscillator->control, oscillator->numbers);
        oscillator->done = (uint8_t)((oscillator->done + now) % whole);
        ticks = (uint8_t)(ticks - now);
    }
    if (--oscillator->left == 0) {
        take_answer(oscillator, panel);
        oscillator->owed = whole;
        oscillator->left = OSCILLATOR_QUARTERS;
    }
}

static void make_quarter(Oscillator *oscillator, const Panel *panel) {
    const OscillatorModel *model = oscillator->spec->model;
    const bool waited = oscillator->waits || oscillator->struck;
    move_pitch(oscillator, panel);
    work(oscillator, panel);
    if (oscillator->part < OSCILLATOR_QUARTERS) {
        ++oscillator->part;
    }
    const float part = (float)oscillator->part * (1.0f / (float)OSCILLATOR_QUARTERS);
    if (!oscillator->waits) {
        const float *beside = oscillator->beside;
        oscillator->heard = with_vibrato(oscillator, panel) + (beside[0] + part * (beside[1] - beside[0]));
    }
    const uint32_t step = phase_step(oscillator->heard);
    if (waited && !oscillator->waits) { /* a new note slides from nowhere */
        oscillator->harmonics.step = step;
    }
    for (uint32_t i = 0; i < VK_HIT_FRAME; ++i) {
        oscillator->made[i] = 0.0f;
    }
    const uint32_t newer = oscillator->newer, older = newer ^ 1u;
    const vk_harmonics_asked tones = {oscillator->level[older], oscillator->level[newer], part, model->harmonics};
    vk_harmonics_frame(&tones, &oscillator->harmonics, step, oscillator->made);
    const vk_band_gains gains = {oscillator->noise[older], oscillator->noise[newer], part};
    vk_bands_frame(&model->bands, &oscillator->bands, &gains, oscillator->made);
    oscillator->place = 0;
}

static float volts_of(const Oscillator *oscillator, int8_t source) {
    switch (source) {
    case OSCILLATOR_OUT_ENVELOPE: return 5.0f * bound_unit(2.0f * oscillator->envelope);
    case OSCILLATOR_OUT_PITCH: return bound(oscillator->heard - C2_OCTAVES, 0.0f, 5.0f);
    default: return 0.0f;
    }
}

/* Gates that rose: a note begins with the next quarter. */
static void hear(Oscillator *oscillator, uint32_t rises) {
    oscillator->struck = oscillator->struck || (rises >> OSCILLATOR_GATE & 1u);
}

void oscillator_render(Oscillator *oscillator, const Panel *panel, const PortBlock *block) {
    const OscillatorSpec *spec = oscillator->spec;
    const size_t ticks = block->ticks;
    tone_update(&oscillator->tone, &spec->tone, panel);
    Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
    const uint32_t note = output_gates(&spec->outputs, 1u << OSCILLATOR_OUT_NOTE);
    float out[PORT_MAX_BLOCK];
    for (size_t done = 0; done < ticks;) {
        hear(oscillator, panel->rise[done]);
        if (oscillator->place == VK_HIT_FRAME) {
            oscillator->gate = panel->level[done] >> OSCILLATOR_GATE & 1u;
            oscillator->accent = panel->level[done] >> OSCILLATOR_ACCENT & 1u;
            oscillator->share = (float)done * panel->per_tick;
            make_quarter(oscillator, panel);
        }
        const size_t made = VK_HIT_FRAME - oscillator->place, left = ticks - done, count = made < left ? made : left;
        uint32_t rises = 0;
        for (size_t i = done; i < done + count; ++i) {
            rises |= i > done ? panel->rise[i] : 0u;
            out[i] = oscillator->made[oscillator->place++] * slope_next(&level);
            block->gates_out[i] = panel->level[i] >> OSCILLATOR_GATE & 1u ? note : 0u;
        }
        hear(oscillator, rises);
        done += count;
    }
    output_sound(&spec->outputs, out, block);
    for (uint8_t c = 0; c < spec->outputs.cvs; ++c) {
        const float volts = volts_of(oscillator, spec->outputs.cv[c]);
        for (size_t i = 0; i < ticks; ++i) {
            block->cv_out[c][i] = volts;
        }
    }
}
