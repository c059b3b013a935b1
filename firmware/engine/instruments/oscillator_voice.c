/* One voice of an oscillator: its pitch, its loudness, and when its networks work. */
#include "oscillator_voice.h"

#include "../control/bound.h"
#include "../dsp/quick.h"

#define QUARTER_S 0.001f
#define TURN_HZ (4294967296.0f / 48000.0f)
#define A3_HZ 220.0f
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
#define NOISE_LOWEST (-12.0f) /* as in dsp/bands.c, and the two below */
#define NOISE_OFF (-11.9f)
#define NOISE_LOUDEST 2.5f
#define SEMITONE (1.0f / 12.0f)
#define APART_TURNS 0.37f /* of the vibrato, from voice to voice */
#define PER_QUARTER (1.0f / (float)OSCILLATOR_QUARTERS)
#define AT_ONCE 64u /* ticks in a call: a whole frame, at most */

static const float AGE_S[NOTE_AGES] = NOTE_AGE_S;

static uint32_t phase_step(float octaves) {
    return (uint32_t)(A3_HZ * TURN_HZ * natural_exp(0.693147181f * bound(octaves, LOWEST, HIGHEST)));
}

/* Ticks of a frame: those of the network that says loudness come first. */
static uint8_t frame_ticks(const OscillatorSpec *spec) {
    return (uint8_t)(OSCILLATOR_TICKS + (spec->expression != NULL ? OSCILLATOR_CALLS : 0u));
}

void oscillator_voice_reset(OscillatorVoice *voice, const OscillatorSpec *spec, uint8_t number) {
    *voice = (OscillatorVoice){
        .number = number,
        .owed = frame_ticks(spec),
        .left = OSCILLATOR_QUARTERS,
        .rested = (uint8_t)(OSCILLATOR_QUARTERS - number), /* their turns come one after the other */
        .part = OSCILLATOR_QUARTERS,
        .vibrato = APART_TURNS * (float)number,
        .loudness = NOTE_DEAD_DB,
        .fallen = -NOTE_DEAD_DB,
    };
    spec->model->reset(spec->state[number]);
    if (spec->expression != NULL) {
        spec->expression->reset(spec->expression_state[number]);
    }
    expression_reset(&voice->expression);
    vk_harmonics_reset(&voice->harmonics, phase_step(0.0f));
    for (uint32_t b = 0; b < VK_BANDS; ++b) {
        voice->noise[0][b] = NOISE_LOWEST;
        voice->noise[1][b] = NOISE_LOWEST;
    }
}

static float value(const OscillatorHands *hands, int8_t parameter) {
    return ramp_at(&hands->panel->parameter[(uint8_t)parameter].value, hands->share);
}

/* Glide and vibrato, a quarter further. */
static void move_pitch(OscillatorVoice *voice, const OscillatorHands *hands) {
    const OscillatorSpec *spec = hands->spec;
    const float glide_s = value(hands, spec->glide), to = bound(voice->asked + voice->apart, LOWEST, HIGHEST);
    const float way = glide_s > QUARTER_S ? 1.0f - natural_exp(-QUARTER_S / glide_s) : 1.0f;
    voice->octaves = way < 1.0f ? voice->octaves + way * (to - voice->octaves) : to;
    voice->vibrato += QUARTER_S * value(hands, spec->rate);
    voice->vibrato -= voice->vibrato >= 1.0f ? 1.0f : 0.0f;
    voice->swell += (1.0f - voice->swell) * (QUARTER_S / SWELL_S);
}

static float with_vibrato(const OscillatorVoice *voice, const OscillatorHands *hands) {
    f4 cosine, sine;
    quick_turn(all(voice->vibrato), &cosine, &sine);
    const float depth = DEEPEST * voice->swell * value(hands, hands->spec->vibrato);
    return voice->octaves + depth * sine[0];
}

/* How this timbre's loudness moves at this pitch. */
static void find_habits(OscillatorVoice *voice, const OscillatorSpec *spec) {
    const uint8_t latents = spec->tone.latents;
    const float *row = spec->model->habit;
    for (uint32_t h = 0; h < OSCILLATOR_HABITS; ++h, row += latents + 3u) {
        float sum = row[latents + 2u] + row[latents] * voice->octaves +
                    row[latents + 1u] * voice->octaves * voice->octaves;
        for (uint8_t i = 0; i < latents; ++i) {
            sum += row[i] * voice->latent[i];
        }
        voice->habit[h] = sum;
    }
}

/* Loudness of the frame that begins, by habit. */
static void move_by_habit(OscillatorVoice *voice, const OscillatorHands *hands) {
    const OscillatorSpec *spec = hands->spec;
    find_habits(voice, spec);
    const float *habit = voice->habit;
    if (voice->first) {
        voice->behind = bound(habit[OSCILLATOR_DEPTH], 1.0f, 40.0f);
        voice->fallen = 0.0f;
        voice->sounds = true;
    }
    const float attack_s = bound(natural_exp(habit[OSCILLATOR_ATTACK] + value(hands, spec->attack)), 0.002f, 2.0f);
    const float decay = bound(habit[OSCILLATOR_DECAY] * value(hands, spec->decay), 0.0f, 200.0f);
    const float release = bound(natural_exp(habit[OSCILLATOR_RELEASE] - value(hands, spec->release)), 10.0f, 3000.0f);
    const float own = bound(habit[OSCILLATOR_PEAK], QUIETEST_DB, LOUDEST_DB);
    const float peak = own + value(hands, spec->dynamics) + voice->accented + voice->velocity;
    voice->loudness = bound(peak, NOTE_DEAD_DB, LOUDEST_DB) - voice->behind - voice->fallen;
    if (voice->loudness <= NOTE_DEAD_DB) {
        voice->loudness = NOTE_DEAD_DB;
        voice->sounds = voice->sounds && voice->gate; /* a quiet one under a high gate may be turned up again */
    }
    voice->behind *= natural_exp(-NOTE_FRAME_S / attack_s);
    voice->fallen = bound(voice->fallen + NOTE_FRAME_S * (voice->gate ? decay : release), 0.0f, 200.0f);
}

/* What the network that says loudness is told of the frame that begins. */
static void begin_expression(OscillatorVoice *voice, const OscillatorHands *hands) {
    const OscillatorSpec *spec = hands->spec;
    for (uint8_t i = 0; i < spec->expression->latents; ++i) {
        voice->manner[i] = value(hands, (int8_t)(spec->manner + i));
    }
    const float velocity = voice->accented > 0.0f && voice->velocity < ACCENTED ? ACCENTED : voice->velocity;
    voice->hands = (ExpressionHands){
        .timbre = voice->latent,
        .manner = voice->manner,
        .octaves = voice->octaves,
        .velocity = velocity,
        .life = value(hands, spec->life),
        .attack = value(hands, spec->attack),
        .decay = value(hands, spec->decay),
        .release = value(hands, spec->release),
        .event = (uint8_t)(value(hands, spec->event) + 0.5f),
        .lane = voice->number,
        .gate = voice->gate,
        .fresh = voice->first,
    };
    expression_begin(&voice->expression, spec->expression, &voice->hands);
}

/* Loudness of the frame, as it was said. */
static void move_by_expression(OscillatorVoice *voice, const OscillatorHands *hands) {
    Expression *expression = &voice->expression;
    expression_end(expression, &voice->hands);
    voice->sounds = voice->sounds || voice->first;
    voice->loudness = NOTE_DEAD_DB;
    if (expression->loudness > NOTE_DEAD_DB) {
        const float loudness = expression->loudness + value(hands, hands->spec->dynamics);
        voice->loudness = bound(loudness, NOTE_DEAD_DB, LOUDEST_DB);
    }
    voice->sounds = voice->sounds && (voice->loudness > NOTE_DEAD_DB || voice->gate);
}

/* A frame begins: hands are read. */
static void begin_frame(OscillatorVoice *voice, const OscillatorHands *hands) {
    const OscillatorSpec *spec = hands->spec;
    voice->first = voice->fresh;
    for (uint8_t i = 0; i < spec->tone.latents; ++i) {
        voice->latent[i] = ramp_at(&hands->tone->latent[i], hands->share);
    }
    if (voice->first) {
        voice->swell = 0.0f;
        voice->accented = hands->accent ? ACCENT_DB : 0.0f;
        voice->velocity = value(hands, spec->velocity);
    }
    for (uint32_t a = 0; a < NOTE_AGES; ++a) {
        voice->age[a] = voice->first ? 1.0f : voice->age[a] * natural_exp(-NOTE_FRAME_S / AGE_S[a]);
        voice->control[4u + a] = voice->age[a];
    }
    if (spec->expression != NULL) {
        begin_expression(voice, hands);
    }
}

/* Loudness of the frame is known: what the network is told. */
static void tell_network(OscillatorVoice *voice, const OscillatorHands *hands) {
    if (hands->spec->expression != NULL) {
        move_by_expression(voice, hands);
    } else {
        move_by_habit(voice, hands);
    }
    const float octaves = with_vibrato(voice, hands) + voice->expression.octaves_beside;
    voice->control[0] = octaves;
    voice->control[1] = voice->first ? 0.0f : bound(BEND * (octaves - voice->told), -4.0f, 4.0f);
    voice->control[2] = (voice->loudness + NOTE_LOUDNESS_DB) * (1.0f / NOTE_LOUDNESS_DB);
    voice->control[3] = voice->gate ? 1.0f : 0.0f;
    voice->told = octaves;
    voice->offset = voice->loudness * LOG_PER_DB;
}

/* The answer is there: what sounds goes over to it from now on. */
static void take_answer(OscillatorVoice *voice, const OscillatorHands *hands) {
    const OscillatorSpec *spec = hands->spec;
    const OscillatorModel *model = spec->model;
    const uint32_t count = model->harmonics;
    voice->newer ^= 1u;
    float *level = voice->level[voice->newer], *noise = voice->noise[voice->newer];
    vk_harmonics_levels(voice->offset, voice->numbers, level, spec->harmonics);
    const float breath = voice->offset + value(hands, spec->breath) + voice->expression.breath;
    for (uint32_t b = 0; b < model->bands.count; ++b) {
        noise[b] = voice->sounds ? voice->numbers[count + b] + breath : NOISE_LOWEST;
    }
    for (uint32_t b = 0; b < model->bands.count && spec->voices > 1u; b += 4u) {
        const f4 log = most(least(four_at(noise + b), all(NOISE_LOUDEST)), all(NOISE_LOWEST));
        const f4 power = quick_exp(log + log);
        FOUR { voice->power[voice->newer][b + j] = log[j] > NOISE_OFF ? power[j] : 0.0f; }
    }
    for (uint32_t k = 0; k < spec->harmonics && !voice->sounds; ++k) {
        level[k] = 0.0f;
    }
    voice->envelope = voice->sounds ? natural_exp(voice->offset) : 0.0f;
    const float beside = voice->expression.octaves_beside;
    voice->beside[0] = voice->first ? beside : voice->beside[1];
    voice->beside[1] = beside;
    voice->part = 0;
    voice->waits = voice->waits && !voice->fresh;
    voice->fresh = false;
}

/* A note begins: the frame worked at is finished, and nobody listens to it. */
static void strike(OscillatorVoice *voice, const OscillatorSpec *spec) {
    voice->waits = true;
    voice->fresh = true;
    const uint8_t whole = frame_ticks(spec);
    voice->owed = (uint8_t)(voice->done > 0 ? 2u * whole - voice->done : whole);
    voice->left = OSCILLATOR_QUARTERS;
}

/* Works at a frame, which begins where the last one was finished; at most to its end. */
static void advance(OscillatorVoice *voice, const OscillatorHands *hands, uint8_t ticks) {
    const OscillatorSpec *spec = hands->spec;
    const uint8_t whole = frame_ticks(spec), told = (uint8_t)(whole - OSCILLATOR_TICKS);
    while (ticks > 0) {
        if (voice->done == 0) {
            begin_frame(voice, hands);
        }
        if (voice->done < told) {
            spec->expression->process(spec->expression_state[voice->number], OSCILLATOR_TICKS / OSCILLATOR_CALLS,
                                      voice->expression.latent, voice->expression.told, voice->expression.curve);
            ++voice->done;
            --ticks;
            continue;
        }
        if (voice->done == told) {
            tell_network(voice, hands);
        }
        const uint8_t to_end = (uint8_t)(whole - voice->done), most = to_end < AT_ONCE ? to_end : AT_ONCE;
        const uint8_t now = ticks < most ? ticks : most;
        spec->model->process(spec->state[voice->number], now, voice->latent, voice->control, voice->numbers);
        voice->done = (uint8_t)((voice->done + now) % whole);
        ticks = (uint8_t)(ticks - now);
    }
}

/* One voice alone works in every quarter, and hardest where a note begins. */
static void work_alone(OscillatorVoice *voice, const OscillatorHands *hands) {
    const OscillatorSpec *spec = hands->spec;
    if (voice->struck && !voice->waits) {
        strike(voice, spec);
    }
    voice->struck = false;
    const uint8_t ticks = (uint8_t)((voice->owed + voice->left - 1u) / voice->left);
    voice->owed = (uint8_t)(voice->owed - ticks);
    advance(voice, hands, ticks);
    if (--voice->left == 0) {
        take_answer(voice, hands);
        voice->owed = frame_ticks(spec);
        voice->left = OSCILLATOR_QUARTERS;
    }
}

/* Whose frame comes next: a note that began first, else who has waited longest, and a frame at least; or none. */
static OscillatorVoice *next_of(const OscillatorSpec *spec) {
    OscillatorVoice *found = NULL;
    for (uint8_t v = 0; v < spec->voices; ++v) {
        OscillatorVoice *voice = &spec->voice[v];
        if (voice->done > 0) {
            return voice;
        }
        const bool due = voice->fresh || voice->rested >= OSCILLATOR_QUARTERS;
        const bool sooner = found == NULL || voice->fresh > found->fresh ||
                            (voice->fresh == found->fresh && voice->rested > found->rested);
        if (due && sooner) {
            found = voice;
        }
    }
    return found;
}

/* Several voices work one after the other, a share of their number in every quarter, whatever begins. */
static void work_in_rotation(const OscillatorHands *hands) {
    const OscillatorSpec *spec = hands->spec;
    const uint8_t whole = frame_ticks(spec);
    for (uint8_t v = 0; v < spec->voices; ++v) {
        OscillatorVoice *voice = &spec->voice[v];
        if (voice->struck && !voice->waits) {
            voice->waits = true;
            voice->fresh = true;
        }
        voice->struck = false;
        voice->rested = (uint8_t)(voice->rested + (voice->rested < UINT8_MAX ? 1u : 0u));
    }
    uint16_t left = (uint16_t)(whole * spec->voices / OSCILLATOR_QUARTERS);
    for (OscillatorVoice *voice = next_of(spec); left > 0 && voice != NULL; voice = next_of(spec)) {
        const uint8_t to_end = (uint8_t)(whole - voice->done), now = left < to_end ? (uint8_t)left : to_end;
        voice->rested = voice->done == 0 ? 0 : voice->rested;
        advance(voice, hands, now);
        left = (uint16_t)(left - now);
        if (voice->done == 0 && (voice->first || !voice->fresh)) { /* else its note began anew meanwhile */
            take_answer(voice, hands);
        }
    }
}

void oscillator_voices_work(const OscillatorHands *hands) {
    const OscillatorSpec *spec = hands->spec;
    for (uint8_t v = 0; v < spec->voices; ++v) {
        OscillatorVoice *voice = &spec->voice[v];
        voice->waited = voice->waits || voice->struck;
        move_pitch(voice, hands);
    }
    if (spec->voices == 1u) {
        work_alone(&spec->voice[0], hands);
    } else {
        work_in_rotation(hands);
    }
}

void oscillator_voice_sound(OscillatorVoice *voice, const OscillatorHands *hands, float *made) {
    if (voice->part < OSCILLATOR_QUARTERS) {
        ++voice->part;
    }
    const float part = (float)voice->part * PER_QUARTER;
    if (!voice->waits) {
        const float *beside = voice->beside;
        voice->heard = with_vibrato(voice, hands) + (beside[0] + part * (beside[1] - beside[0]));
    }
    const uint32_t step = phase_step(voice->heard);
    if (voice->waited && !voice->waits) { /* a new note slides from nowhere */
        voice->harmonics.step = step;
    }
    const uint32_t newer = voice->newer, older = newer ^ 1u;
    const vk_harmonics_asked tones = {voice->level[older], voice->level[newer], part, hands->spec->harmonics};
    vk_harmonics_frame(&tones, &voice->harmonics, step, made);
}

vk_band_gains oscillator_voice_noise(const OscillatorVoice *voice) {
    const uint32_t newer = voice->newer;
    return (vk_band_gains){voice->noise[newer ^ 1u], voice->noise[newer], (float)voice->part * PER_QUARTER};
}

void oscillator_voice_add_noise(const OscillatorVoice *voice, uint32_t bands, float *power) {
    const float *older = voice->power[voice->newer ^ 1u], *newer = voice->power[voice->newer];
    const f4 part = all((float)voice->part * PER_QUARTER);
    for (uint32_t b = 0; b < bands; b += 4u) {
        const f4 before = four_at(older + b);
        const f4 sum = four_at(power + b) + (before + product(part, four_at(newer + b) - before));
        FOUR { power[b + j] = sum[j]; }
    }
}
