/* An arpeggio: a point in a space of chord progressions, played note by note on a clock. */
#include "arpeggio.h"

#include "../dsp/hash.h"

#define SWING_MOST (STEP_UNITS / 3) /* odd steps late by a third: triplets */
#define CLEARLY 0.5f                /* nats by which another chord must win */
#define HALF_BAND 0.6f              /* semitones from a note held before the next one is taken: 10 cents late */
#define SNAP_BAND 0.2f              /* semitones by which another note of the quantizer must be nearer */
#define GAP_TICKS 48u               /* 1 ms low between two notes, where the clock came before the gate had fallen */
#define LOWEST 12                   /* where chords are voiced, in semitones above 0 V */
#define HIGHEST 38
#define TOP 60 /* 5 V: as high as every board goes */
#define OCTAVE 12
#define TURNS 16u                                                 /* steps that one pulse may pass, twice what it can */
#define STANDS_TICKS(clock) (2u * (clock)->period_ticks + 24000u) /* since a pulse: a clock that stopped */

static uint8_t choice(const Panel *panel, int8_t parameter, uint8_t count) {
    return (uint8_t)(panel_position(panel, (uint8_t)parameter) * (float)(count - 1u) + 0.5f);
}

static int64_t place_of(float swing, int64_t step) {
    const int64_t late = (int64_t)(int32_t)((float)(SWING_MOST >> 24) * bound_unit(swing)) * (1 << 24);
    return step * STEP_UNITS + (step & 1 ? late : 0);
}

static void rewind_steps(Arpeggio *arpeggio) {
    arpeggio->next_step = 0;
    arpeggio->chord_step = 0;
    arpeggio->gate_end = 0;
}

void arpeggio_init(Arpeggio *arpeggio, const ArpeggioSpec *spec) {
    *arpeggio = (Arpeggio){.spec = spec};
    decision_init(&arpeggio->decision, spec->model->decoder, spec->state);
    arpeggio_reset(arpeggio);
}

void arpeggio_reset(Arpeggio *arpeggio) {
    step_clock_init(&arpeggio->clock, arpeggio->spec->sample_rate_hz, arpeggio->spec->clocked);
    rewind_steps(arpeggio);
    arpeggio->pulses.high = 0;
    arpeggio->gate = false;
    arpeggio->gap_ticks = 0;
    arpeggio->sounds = false;
}

/* The best row of some, or the one that was best, unless another is clearly better. */
static uint8_t winner(const float (*score)[ARPEGGIO_SLOTS], uint8_t rows, size_t slot, uint8_t kept, bool fresh) {
    uint8_t best = 0;
    for (uint8_t r = 1; r < rows; ++r) {
        if (score[r][slot] > score[best][slot]) {
            best = r;
        }
    }
    return fresh || score[best][slot] > score[kept][slot] + CLEARLY ? best : kept;
}

static void read_chords(Arpeggio *arpeggio, bool fresh) {
    for (size_t s = 0; s < ARPEGGIO_SLOTS; ++s) {
        Chord *best = &arpeggio->best[s];
        best->root = winner(arpeggio->scores, ARPEGGIO_ROOTS, s, best->root, fresh);
        best->quality = winner(arpeggio->scores + ARPEGGIO_ROOTS, ARPEGGIO_QUALITIES, s, best->quality, fresh);
        const float hold = arpeggio->scores[ARPEGGIO_SCORES - 1u][s];
        const bool before = ((uint32_t)arpeggio->held >> s & 1u) != 0u;
        const bool held = s > 0 && hold > (fresh ? 0.0f : before ? -CLEARLY : CLEARLY);
        arpeggio->held = (uint16_t)((arpeggio->held & ~(1u << s)) | (uint32_t)held << s);
        arpeggio->chord[s] = held ? arpeggio->chord[s - 1] : *best;
    }
}

/* The first chords: what fell due before they were there is held, and only what is long past is left out. */
static void catch_up(Arpeggio *arpeggio) {
    const int64_t now = arpeggio->clock.place < 0 ? 0 : (int64_t)step_of(arpeggio->clock.place);
    if (arpeggio->next_step < now) {
        arpeggio->next_step = now;
    }
}

static void take_chords(Arpeggio *arpeggio, bool first) {
    arpeggio->spec->model->result(arpeggio->spec->state, arpeggio->scores);
    read_chords(arpeggio, first);
    if (first) {
        catch_up(arpeggio);
    }
}

static uint8_t nearest(uint8_t note, const uint8_t *others, uint8_t count) {
    uint8_t least = UINT8_MAX;
    for (uint8_t i = 0; i < count; ++i) {
        const uint8_t far = (uint8_t)(note > others[i] ? note - others[i] : others[i] - note);
        least = far < least ? far : least;
    }
    return least;
}

/* Semitones that the notes of two voicings move, each to or from the nearest of the other. */
static uint32_t motion(const uint8_t *from, uint8_t from_count, const uint8_t *to, uint8_t to_count) {
    uint32_t sum = 0;
    for (uint8_t i = 0; i < to_count; ++i) {
        sum += nearest(to[i], from, from_count);
    }
    for (uint8_t i = 0; i < from_count; ++i) {
        sum += nearest(from[i], to, to_count);
    }
    return sum;
}

/* Root position, or of all inversions in all octaves the one whose notes have the least way to go. */
static void voice(Arpeggio *arpeggio, Chord chord, bool led) {
    const Quality *quality = &arpeggio->spec->quality[chord.quality];
    const uint8_t count = quality->notes;
    uint8_t least[ARPEGGIO_VOICES];
    uint32_t least_motion = UINT32_MAX;
    const bool fresh = !led || !arpeggio->sounds;
    for (uint8_t inversion = 0; inversion < (fresh ? 1u : count); ++inversion) {
        const uint8_t lowest = (uint8_t)((chord.root + quality->note[inversion]) % OCTAVE);
        for (uint8_t low = (uint8_t)(LOWEST + lowest); low < LOWEST + (fresh ? 1 : 2) * OCTAVE; low += OCTAVE) {
            uint8_t notes[ARPEGGIO_VOICES];
            for (uint8_t i = 0; i < count; ++i) {
                const uint8_t of = quality->note[(inversion + i) % count];
                notes[i] = (uint8_t)(low + (of + OCTAVE - quality->note[inversion]) % OCTAVE);
            }
            if (notes[count - 1u] > HIGHEST) {
                continue;
            }
            const uint32_t moved = fresh ? 0u : motion(arpeggio->voiced, arpeggio->voices, notes, count);
            if (moved < least_motion) {
                least_motion = moved;
                for (uint8_t i = 0; i < count; ++i) {
                    least[i] = notes[i];
                }
            }
        }
    }
    for (uint8_t i = 0; i < count; ++i) {
        arpeggio->voiced[i] = least[i];
    }
    arpeggio->voices = count;
    arpeggio->sounding = chord;
    arpeggio->sounds = true;
}

/* Which of so many notes, counted from the lowest, is the n-th of a pattern. */
static uint32_t place_in(uint8_t pattern, uint32_t n, uint32_t count, uint8_t voices) {
    const uint32_t at = n % count;
    switch (pattern) {
    case 1: /* down */ return count - 1u - at;
    case 2: { /* up and down, the ends once */
        const uint32_t turn = count > 1u ? 2u * count - 2u : 1u, place = n % turn;
        return place < count ? place : turn - place;
    }
    case 3: /* from both ends to the middle */ return at & 1u ? count - 1u - at / 2u : at / 2u;
    case 4: /* the chord's notes in turn, each through its octaves */
        return at / (count / voices) + at % (count / voices) * voices;
    case 5: /* any */ return hash32(n * 2654435761u + count) % count;
    default: return at;
    }
}

/* Within what every board's outputs reach, by octaves. */
static int32_t folded(int32_t note) {
    while (note > TOP) {
        note -= OCTAVE;
    }
    while (note < 0) {
        note += OCTAVE;
    }
    return note;
}

static void play_step(Arpeggio *arpeggio, const Panel *panel, int64_t step) {
    const ArpeggioSpec *spec = arpeggio->spec;
    const uint32_t counted = (uint32_t)(step < 0 ? 0 : step);
    const uint32_t pace = 1u << (1u + choice(panel, spec->pace, 4)); /* steps of a slot: 2 4 8 16 */
    const uint32_t slot = counted / pace % ARPEGGIO_SLOTS;
    const Chord chord = arpeggio->chord[slot];
    if (counted % (pace * ARPEGGIO_SLOTS) == 0) {
        pulses_start(&arpeggio->pulses, ARPEGGIO_OUT_START);
    }
    if (!arpeggio->sounds || chord.root != arpeggio->sounding.root || chord.quality != arpeggio->sounding.quality) {
        voice(arpeggio, chord, panel_position(panel, (uint8_t)spec->voicing) >= 0.5f);
        arpeggio->chord_step = step;
        arpeggio->bass_volts = (float)folded(chord.root + arpeggio->transpose) * (1.0f / 12.0f);
        pulses_start(&arpeggio->pulses, ARPEGGIO_OUT_CHANGE);
    }
    const float density = panel_value(panel, (uint8_t)spec->density);
    if ((float)(hash32(counted) >> 8) >= density * 16777216.0f) {
        return;
    }
    const uint32_t octaves = 1u + choice(panel, spec->range, 3);
    const uint32_t n = (uint32_t)(step - arpeggio->chord_step);
    const uint32_t at = place_in(choice(panel, spec->pattern, ARPEGGIO_PATTERNS), n, arpeggio->voices * octaves,
                                 arpeggio->voices);
    const int32_t note = arpeggio->voiced[at % arpeggio->voices] + OCTAVE * (int32_t)(at / arpeggio->voices);
    arpeggio->melody_volts = (float)folded(note + arpeggio->transpose) * (1.0f / 12.0f);
    const float length = panel_value(panel, (uint8_t)spec->length);
    const bool tied = length >= 1.0f;
    arpeggio->gap_ticks = arpeggio->gate && !tied ? GAP_TICKS : 0;
    arpeggio->gate = true;
    const int64_t lasts = (int64_t)(int32_t)((float)(STEP_UNITS >> 24) * length) * (1 << 24);
    arpeggio->gate_end = arpeggio->clock.place + (tied ? 2 * STEP_UNITS : lasts);
}

static void play_due(Arpeggio *arpeggio, const Panel *panel, float swing) {
    int64_t last = -1;
    for (uint8_t turn = 0; turn < TURNS && place_of(swing, arpeggio->next_step) <= arpeggio->clock.place; ++turn) {
        last = arpeggio->next_step++;
    }
    if (last >= 0) {
        play_step(arpeggio, panel, last);
    }
}

static void wrap_steps(Arpeggio *arpeggio) {
    const int64_t steps = step_clock_wrap(&arpeggio->clock);
    arpeggio->next_step -= steps;
    arpeggio->chord_step -= steps;
    arpeggio->gate_end -= steps * STEP_UNITS;
}

/* Whole semitones; the one held stays until the voltage is well into the next. */
static int16_t semitones(float value, int16_t held) {
    if (magnitude(value - (float)held) <= HALF_BAND) {
        return held;
    }
    return (int16_t)(value < 0.0f ? value - 0.5f : value + 0.5f);
}

/* Pitch classes that the quantizer lets through: the chord's, or the tonic's major scale bent to hold them. */
static uint32_t let_through(const Arpeggio *arpeggio, bool scale) {
    uint32_t chord = 0;
    for (uint8_t i = 0; i < arpeggio->voices; ++i) {
        chord |= 1u << arpeggio->voiced[i] % OCTAVE;
    }
    if (!scale) {
        return chord;
    }
    uint32_t notes = 0xAB5u; /* 0 2 4 5 7 9 11 */
    for (uint8_t note = 0; note < OCTAVE; ++note) {
        if ((chord >> note & 1u) && !(notes >> note & 1u)) { /* ♭3 for 3 …, and ♯4 for 4 */
            notes &= ~(1u << (note == 6u ? 5u : note + 1u));
        }
    }
    return notes | chord;
}

static bool passes(uint32_t notes, int32_t note) { return notes >> (uint32_t)(note + 10 * OCTAVE) % OCTAVE & 1u; }

/* The nearest note that passes; the one before, unless another is clearly nearer. */
static void quantize(Arpeggio *arpeggio, const Panel *panel) {
    const ArpeggioSpec *spec = arpeggio->spec;
    if (!arpeggio->sounds) {
        return;
    }
    const uint32_t notes = let_through(arpeggio, panel_position(panel, (uint8_t)spec->snap) >= 0.5f);
    const float value = bound(panel_value(panel, (uint8_t)spec->input), -60.0f, 60.0f) - (float)arpeggio->transpose;
    const int32_t middle = (int32_t)(value + 120.5f) - 120;
    float least = 1e9f;
    int32_t best = 0;
    for (int32_t note = middle - OCTAVE; note <= middle + OCTAVE; ++note) {
        if (passes(notes, note) && magnitude(value - (float)note) < least) {
            least = magnitude(value - (float)note);
            best = note;
        }
    }
    const int32_t held = arpeggio->snapped;
    if (passes(notes, held) && magnitude(value - (float)held) <= least + SNAP_BAND) {
        best = held;
    }
    if (best != held) {
        pulses_start(&arpeggio->pulses, ARPEGGIO_OUT_SNAPPED);
    }
    arpeggio->snapped = (int16_t)best;
    arpeggio->snapped_volts = (float)(best + arpeggio->transpose) * (1.0f / 12.0f);
}

static uint32_t sources_of(Arpeggio *arpeggio) {
    if (arpeggio->gate &&
        (arpeggio->clock.place >= arpeggio->gate_end ||
         (!step_clock_is_own(&arpeggio->clock) && arpeggio->clock.since_ticks > STANDS_TICKS(&arpeggio->clock)))) {
        arpeggio->gate = false;
    }
    uint32_t sources = pulses_next(&arpeggio->pulses);
    if (arpeggio->gap_ticks > 0) {
        --arpeggio->gap_ticks;
    } else if (arpeggio->gate) {
        sources |= 1u << ARPEGGIO_OUT_NOTE;
    }
    return sources;
}

static void advance(Arpeggio *arpeggio, const Panel *panel, size_t ticks) {
    const ArpeggioSpec *spec = arpeggio->spec;
    tone_update(&arpeggio->tone, &spec->tone, panel);
    const bool first = !arpeggio->decision.playable, frozen = panel->level[0] >> ARPEGGIO_FREEZE & 1u;
    if (decision_advance(&arpeggio->decision, &arpeggio->tone, &spec->tone, frozen, panel->ticks)) {
        take_chords(arpeggio, first);
    }
    const float ratio = panel_position(panel, (uint8_t)spec->ratio) * (float)(STEP_CLOCK_RATIOS - 1u);
    step_clock_ratio(&arpeggio->clock, (uint8_t)(ratio + 0.5f));
    arpeggio->transpose = semitones(panel_value(panel, (uint8_t)spec->transpose), arpeggio->transpose);
    quantize(arpeggio, panel);
    const float swing = panel_value(panel, (uint8_t)spec->swing);
    const float tempo_bpm = panel_value(panel, (uint8_t)spec->tempo);
    const int64_t own_units = step_clock_own_units(tempo_bpm, spec->sample_rate_hz);
    wrap_steps(arpeggio);
    if (panel->remote_clock) {
        arpeggio->clock.remote_ticks = REMOTE_TICKS;
    }
    for (size_t i = 0; i < ticks; ++i) {
        const uint32_t rise = panel->rise[i];
        const bool pulse = (rise >> ARPEGGIO_CLOCK & 1u) || (i == 0 && panel->remote_clock);
        const bool reset = (rise >> ARPEGGIO_RESET & 1u) || (i == 0 && panel->remote_reset);
        step_clock_tick(&arpeggio->clock, own_units);
        if ((pulse || reset) && step_clock_obey(&arpeggio->clock, pulse, reset)) {
            rewind_steps(arpeggio);
        }
        if (arpeggio->decision.playable && !arpeggio->clock.armed &&
            arpeggio->next_step * STEP_UNITS <= arpeggio->clock.place) {
            play_due(arpeggio, panel, swing);
        }
        arpeggio->gate_sources[i] = sources_of(arpeggio);
        arpeggio->melody[i] = arpeggio->melody_volts;
        arpeggio->bass[i] = arpeggio->bass_volts;
    }
}

static void hold_volts(float *to, float volts, size_t ticks) {
    for (size_t i = 0; i < ticks; ++i) {
        to[i] = volts;
    }
}

void arpeggio_render(Arpeggio *arpeggio, const Panel *panel, const PortBlock *block) {
    const OutputSpec *outputs = &arpeggio->spec->outputs;
    advance(arpeggio, panel, block->ticks);
    output_gate_block(outputs, arpeggio->gate_sources, block);
    for (uint8_t c = 0; c < outputs->cvs; ++c) {
        float *to = block->cv_out[c];
        switch (outputs->cv[c]) {
        case ARPEGGIO_OUT_MELODY: __builtin_memcpy(to, arpeggio->melody, block->ticks * sizeof *to); break;
        case ARPEGGIO_OUT_BASS: __builtin_memcpy(to, arpeggio->bass, block->ticks * sizeof *to); break;
        case ARPEGGIO_OUT_QUANTIZED: hold_volts(to, arpeggio->snapped_volts, block->ticks); break;
        default: hold_volts(to, 0.0f, block->ticks); break;
        }
    }
    output_silence(outputs, block);
}
