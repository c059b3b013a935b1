/* An oscillator that follows one volt per octave: which of its voices plays what, and how they add up. */
#include "oscillator.h"

#include "../control/bound.h"
#include "../dsp/quick.h"

#define SEMITONE (1.0f / 12.0f)
#define QUIET_POWER 4e-11f /* what is no louder stays off in dsp/bands.c */
#define OWN_MS 8000u       /* for so long after its own gate the first gate leaves a voice alone */

/* Semitones above the pitch that is asked for, of each voice; the first is no chord: notes are played in turn. */
static const int8_t CHORD[OSCILLATOR_CHORDS][OSCILLATOR_VOICES] = {
    {0, 0, 0, 0},  {0, 0, 0, 0},  {0, -12, 12, 0}, {0, 7, -12, 12}, {0, 7, 12, 14}, {0, 5, 7, 12},
    {0, 3, 7, 12}, {0, 4, 7, 12}, {0, 3, 7, 10},   {0, 4, 7, 10},   {0, 4, 7, 11},  {0, 3, 6, 9},
};
static const float APART[OSCILLATOR_VOICES] = {-1.0f, 1.0f, -0.3f, 0.3f}; /* of what the spread says */
static const float PLACE[OSCILLATOR_VOICES] = {-0.4f, 0.4f, -1.0f, 1.0f}; /* between left and right */
static const uint8_t GATE_OF[OSCILLATOR_VOICES] = {OSCILLATOR_GATE, OSCILLATOR_GATE_2, OSCILLATOR_GATE_3,
                                                   OSCILLATOR_GATE_4};

void oscillator_init(Oscillator *oscillator, const OscillatorSpec *spec) {
    oscillator->spec = spec;
    oscillator->tone.started = false;
    oscillator_reset(oscillator);
}

void oscillator_reset(Oscillator *oscillator) {
    const OscillatorSpec *spec = oscillator->spec;
    const Tone tone = oscillator->tone;
    *oscillator = (Oscillator){.spec = spec, .tone = tone, .led = 1u, .place = VK_HIT_FRAME};
    for (uint8_t v = 0; v < spec->voices; ++v) {
        oscillator_voice_reset(&spec->voice[v], spec, v);
    }
    const vk_band_filter silent = {.scale = 0.0f};
    vk_bands_start(&oscillator->bands, vk_hit_key(spec->model->seed, 0), &silent);
}

static float value(const OscillatorHands *hands, int8_t parameter) {
    return ramp_at(&hands->panel->parameter[(uint8_t)parameter].value, hands->share);
}

static bool is_high(uint32_t gates, uint8_t gate) { return gates >> gate & 1u; }

static void strike(Oscillator *oscillator, uint8_t v, float apart) {
    OscillatorVoice *voice = &oscillator->spec->voice[v];
    voice->struck = true;
    voice->apart = apart;
    oscillator->last = v;
    oscillator->begun[v] = ++oscillator->notes;
}

/* The voice for the next note in turn: one that is silent, else the quietest of those that were let go. Of two alike
 * the one that began first. Voices that their own gates play are left alone; the first has none. */
static uint8_t next_in_turn(const Oscillator *oscillator) {
    const OscillatorSpec *spec = oscillator->spec;
    uint8_t found = 0;
    float softest = 0.0f;
    for (uint8_t v = 0; v < spec->voices; ++v) {
        const OscillatorVoice *voice = &spec->voice[v];
        if (oscillator->own_ms[v] > 0) {
            continue;
        }
        const float loud = voice->sounds || voice->waits ? 1e-6f + voice->envelope : 0.0f;
        if (v == 0 || loud < softest || (loud == softest && oscillator->begun[v] < oscillator->begun[found])) {
            found = v;
            softest = loud;
        }
    }
    return found;
}

/* The first gate rose. */
static void lead(Oscillator *oscillator, const OscillatorHands *hands) {
    const OscillatorSpec *spec = oscillator->spec;
    const uint32_t asked = (uint32_t)bound(value(hands, spec->chord) + 0.5f, 0.0f, (float)(OSCILLATOR_CHORDS - 1u));
    oscillator->together = asked > 0;
    oscillator->led = 0;
    if (!oscillator->together) {
        const uint8_t v = next_in_turn(oscillator);
        oscillator->led = (uint8_t)(1u << v);
        strike(oscillator, v, 0.0f);
        return;
    }
    for (uint8_t v = 0; v < spec->voices; ++v) {
        if (oscillator->own_ms[v] == 0) {
            oscillator->led = (uint8_t)(oscillator->led | 1u << v);
            strike(oscillator, v, SEMITONE * (float)CHORD[asked][v]);
        }
    }
    oscillator->last = 0;
}

/* Gates that rose strike voices. */
static void hear(Oscillator *oscillator, const OscillatorHands *hands, uint32_t high) {
    const OscillatorSpec *spec = oscillator->spec;
    for (uint8_t v = 1; v < spec->voices; ++v) {
        const bool rises = is_high(oscillator->rises, GATE_OF[v]);
        if (rises) {
            oscillator->led = (uint8_t)(oscillator->led & ~(1u << v));
            strike(oscillator, v, 0.0f);
        }
        if (rises || is_high(high, GATE_OF[v])) {
            oscillator->own_ms[v] = OWN_MS;
        } else if (oscillator->own_ms[v] > 0) {
            --oscillator->own_ms[v];
        }
    }
    if (is_high(oscillator->rises, OSCILLATOR_GATE)) {
        if (spec->voices > 1u) {
            lead(oscillator, hands);
        } else {
            strike(oscillator, 0, 0.0f);
        }
    }
    oscillator->rises = 0;
}

/* Each voice is told what it is to play. */
static void tell_voices(Oscillator *oscillator, const OscillatorHands *hands, uint32_t high) {
    const OscillatorSpec *spec = oscillator->spec;
    const bool several = spec->voices > 1u;
    const float tuned = value(hands, spec->tune), fine = SEMITONE * value(hands, spec->fine);
    const float spread = several ? value(hands, spec->spread) : 0.0f;
    for (uint8_t v = 0; v < spec->voices; ++v) {
        OscillatorVoice *voice = &spec->voice[v];
        const bool led = (unsigned)oscillator->led >> v & 1u;
        voice->gate = led ? is_high(high, OSCILLATOR_GATE) : v > 0 && is_high(high, GATE_OF[v]);
        /* what was let go in turn keeps its pitch: the jack has gone to the next note */
        if (!several || voice->gate || voice->struck || (led && oscillator->together)) {
            const float volts = value(hands, spec->pitch[led ? 0 : v]) + tuned;
            voice->asked = OSCILLATOR_C2 + volts + fine + APART[v] * spread;
        }
    }
}

/* Noise of several voices at once: a log gain for every band, of the sum of their powers. */
static void add_up(const Oscillator *oscillator, float *log) {
    const OscillatorSpec *spec = oscillator->spec;
    const uint32_t count = spec->model->bands.count;
    float power[VK_BANDS];
    for (uint32_t b = 0; b < count; ++b) {
        power[b] = QUIET_POWER;
    }
    for (uint8_t v = 0; v < spec->voices; ++v) {
        oscillator_voice_add_noise(&spec->voice[v], count, power);
    }
    for (uint32_t b = 0; b < count; b += 4u) {
        const f4 sum = product(all(0.5f), quick_log(four_at(power + b)));
        FOUR { log[b + j] = sum[j]; }
    }
}

/* Adds a sound to others. */
static void add_sound(const float *sound, float gain, float *out) {
    const f4 by = all(gain);
    for (uint32_t i = 0; i < VK_HIT_FRAME; i += 4u) {
        const f4 sum = four_at(out + i) + product(by, four_at(sound + i));
        FOUR { out[i + j] = sum[j]; }
    }
}

static void make_quarter(Oscillator *oscillator, const OscillatorHands *hands, uint32_t high) {
    const OscillatorSpec *spec = oscillator->spec;
    float *left = oscillator->made[0], *right = oscillator->made[1];
    hear(oscillator, hands, high);
    tell_voices(oscillator, hands, high);
    for (uint32_t i = 0; i < VK_HIT_FRAME; ++i) {
        left[i] = 0.0f;
        right[i] = 0.0f;
    }
    oscillator->place = 0;
    oscillator_voices_work(hands);
    if (spec->voices == 1u) {
        oscillator_voice_sound(&spec->voice[0], hands, left);
        const vk_band_gains gains = oscillator_voice_noise(&spec->voice[0]);
        vk_bands_frame(&spec->model->bands, &oscillator->bands, &gains, left);
        return;
    }
    const float width = value(hands, spec->width);
    for (uint8_t v = 0; v < spec->voices; ++v) {
        float sound[VK_HIT_FRAME] = {0.0f};
        oscillator_voice_sound(&spec->voice[v], hands, sound);
        add_sound(sound, 1.0f - width * PLACE[v], left);
        add_sound(sound, 1.0f + width * PLACE[v], right);
    }
    float log[VK_BANDS], noise[VK_HIT_FRAME] = {0.0f};
    add_up(oscillator, log);
    const vk_band_gains gains = {log, log, 1.0f};
    vk_bands_frame(&spec->model->bands, &oscillator->bands, &gains, noise);
    add_sound(noise, 1.0f, left);
    add_sound(noise, 1.0f, right);
}

static float volts_of(const Oscillator *oscillator, int8_t source) {
    const OscillatorSpec *spec = oscillator->spec;
    if (source == OSCILLATOR_OUT_PITCH) {
        return bound(spec->voice[oscillator->last].heard - OSCILLATOR_C2, 0.0f, 5.0f);
    }
    float loudest = 0.0f;
    for (uint8_t v = 0; v < spec->voices && source == OSCILLATOR_OUT_ENVELOPE; ++v) {
        const float envelope = spec->voice[v].envelope;
        loudest = envelope > loudest ? envelope : loudest;
    }
    return 5.0f * bound_unit(2.0f * loudest);
}

/* Each jack its sound; those of one voice all carry the same. */
static void write_sound(const OscillatorSpec *spec, float (*sound)[PORT_MAX_BLOCK], const PortBlock *block) {
    if (spec->voices == 1u) {
        output_sound(&spec->outputs, sound[0], block);
        return;
    }
    for (uint8_t c = 0; c < spec->outputs.audios; ++c) {
        const int8_t source = spec->outputs.audio[c];
        const float *one = source == OSCILLATOR_OUT_RIGHT ? sound[1] : sound[0];
        const float *other = source == OSCILLATOR_OUT_LEFT ? sound[0] : sound[1];
        const float half = source < 0 ? 0.0f : 0.5f;
        for (size_t i = 0; i < block->ticks; ++i) {
            block->audio_out[c][i] = audible(half * one[i] + half * other[i]);
        }
    }
}

void oscillator_render(Oscillator *oscillator, const Panel *panel, const PortBlock *block) {
    const OscillatorSpec *spec = oscillator->spec;
    const size_t ticks = block->ticks;
    const uint32_t several = spec->voices > 1u ? 1u : 0u;
    const uint32_t notes = 1u << OSCILLATOR_GATE |
                           several * (1u << OSCILLATOR_GATE_2 | 1u << OSCILLATOR_GATE_3 | 1u << OSCILLATOR_GATE_4);
    tone_update(&oscillator->tone, &spec->tone, panel);
    Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
    const uint32_t note = output_gates(&spec->outputs, 1u << OSCILLATOR_OUT_NOTE);
    OscillatorHands hands = {.spec = spec, .panel = panel, .tone = &oscillator->tone};
    float out[2][PORT_MAX_BLOCK];
    for (size_t done = 0; done < ticks;) {
        oscillator->rises |= panel->rise[done];
        if (oscillator->place == VK_HIT_FRAME) {
            hands.accent = is_high(panel->level[done], OSCILLATOR_ACCENT);
            hands.share = (float)done * panel->per_tick;
            make_quarter(oscillator, &hands, panel->level[done]);
        }
        const size_t made = VK_HIT_FRAME - oscillator->place, left = ticks - done, count = made < left ? made : left;
        for (size_t i = done + 1u; i < done + count && panel->risen != 0; ++i) {
            oscillator->rises |= panel->rise[i];
        }
        const float *from[2] = {oscillator->made[0] + oscillator->place, oscillator->made[1] + oscillator->place};
        for (size_t i = 0; i < count; ++i) {
            const float gain = slope_next(&level);
            out[0][done + i] = from[0][i] * gain;
            out[1][done + i] = from[1][i] * gain;
        }
        oscillator->place += (uint32_t)count;
        done += count;
    }
    for (size_t i = 0; i < ticks; ++i) {
        block->gates_out[i] = panel->level[i] & notes ? note : 0u;
    }
    write_sound(spec, out, block);
    for (uint8_t c = 0; c < spec->outputs.cvs; ++c) {
        const float volts = volts_of(oscillator, spec->outputs.cv[c]);
        for (size_t i = 0; i < ticks; ++i) {
            block->cv_out[c][i] = volts;
        }
    }
}
