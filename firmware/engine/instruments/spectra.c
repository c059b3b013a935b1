/* Spectra: volts and a gate in; a network says magnitudes, and they sound. */
#include "spectra.h"

#include "../control/bound.h"
#include "../dsp/quick.h"

#define HOP_S (256.0f / 48000.0f)
#define C2 (-1.75f) /* octaves above 220 Hz: what 0 V is */
#define SEMITONE (1.0f / 12.0f)
#define LOWEST (-2.5f)
#define HIGHEST 4.0f
#define PER_SCALE 1.17333333f /* 220 Hz in bins of the sound, by the four of the axis that a harmonic is wide */
#define GRID 4.0f
#define LOG_PER_DB 0.115129255f
#define LN_2 0.693147181f
#define FULL (-1.38629436f) /* log of the loudest moment's amplitude */
#define QUIETEST (-10.0f)
#define LOUDEST 0.5f
#define ACCENT_DB 6.0f
#define NOTHING (-30.0f)
#define DEAD 1e-4f
#define VOLTS 5.0f

static const float AGE_S[NOTE_AGES] = NOTE_AGE_S;

void spectra_init(Spectra *self, const SpectraSpec *spec) {
    self->spec = spec;
    self->tone.started = false;
    vk_fft_begin(&self->roots);
    spectra_reset(self);
}

void spectra_reset(Spectra *self) {
    const SpectraSpec *spec = self->spec;
    spec->model->reset(spec->memory);
    vk_spsi_reset(&self->spsi);
    for (uint32_t k = 0; k < VK_SPSI_BINS; ++k) {
        self->said[k] = QUIETEST;
        self->smooth[k] = QUIETEST;
        self->logs[k] = NOTHING;
    }
    for (uint32_t n = 0; n < VK_SPSI_HOP; ++n) {
        self->sound[n] = 0.0f;
    }
    for (uint32_t a = 0; a < SPECTRA_CONTROLS; ++a) {
        self->control[a] = 0.0f;
    }
    self->asked = (vk_spsi_asked){.scale = 1.0f, .grid = GRID};
    self->share = 0.0f;
    self->octaves = C2;
    self->swell = 0.0f;
    self->struck = 0.0f;
    self->loudness = 0.0f;
    self->follow = 1.0f;
    self->at = VK_SPSI_HOP;
    self->step = spec->count;
    self->rises = false;
    self->tuned = false;
}

static float value(const Spectra *self, const Panel *panel, int8_t parameter) {
    return ramp_at(&panel->parameter[(uint8_t)parameter].value, self->share);
}

/* Part of the way in a hop, of what takes so long. */
static float way_in(float seconds) { return seconds > HOP_S ? 1.0f - natural_exp(-HOP_S / seconds) : 1.0f; }

static void move_pitch(Spectra *self, const Panel *panel) {
    const SpectraSpec *spec = self->spec;
    const float asked = C2 + value(self, panel, spec->pitch) + value(self, panel, spec->tune) +
                        SEMITONE * value(self, panel, spec->fine);
    const float to = bound(asked, LOWEST, HIGHEST), way = way_in(value(self, panel, spec->glide));
    self->octaves = self->tuned && way < 1.0f ? self->octaves + way * (to - self->octaves) : to;
    self->tuned = true;
    self->control[0] = bound(self->octaves + value(self, panel, spec->body), LOWEST, HIGHEST);
}

/* A note's age and loudness. */
static void move_note(Spectra *self, const Panel *panel, bool high, bool accent) {
    const SpectraSpec *spec = self->spec;
    const float pace = HOP_S * value(self, panel, spec->life);
    if (self->rises) {
        self->struck = value(self, panel, spec->velocity) + (accent ? ACCENT_DB : 0.0f);
    }
    for (uint32_t a = 0; a < NOTE_AGES; ++a) {
        float *age = &self->control[1u + a];
        *age = self->rises ? 1.0f : *age * natural_exp(-pace / AGE_S[a]);
    }
    const bool sounds = high || self->rises;
    const float way = way_in(value(self, panel, sounds ? spec->attack : spec->release));
    self->swell += way * ((sounds ? 1.0f : 0.0f) - self->swell);
    self->swell = !sounds && self->swell < DEAD ? 0.0f : self->swell;
    self->rises = false;
}

/* Hands are read for the hop that begins; what was made sounds. */
static void begin_hop(Spectra *self, const Panel *panel, uint32_t level) {
    const SpectraSpec *spec = self->spec;
    vk_spsi_sound(&self->spsi, self->sound);
    for (uint8_t i = 0; i < spec->tone.latents; ++i) {
        self->latent[i] = ramp_at(&self->tone.latent[i], self->share);
    }
    move_pitch(self, panel);
    move_note(self, panel, level >> SPECTRA_GATE & 1u, level >> SPECTRA_ACCENT & 1u);
    const float scale = PER_SCALE * natural_exp(LN_2 * self->octaves);
    const f4 logs = quick_log((f4){scale, most1(self->swell, DEAD), 1.0f, 1.0f});
    self->asked = (vk_spsi_asked){
        .scale = scale,
        .grid = GRID,
        .pull = bound_unit(value(self, panel, spec->harmonic)),
        .stretch = value(self, panel, spec->stretch),
        .tone = bound_unit(value(self, panel, spec->tonality)),
        .noise = bound(value(self, panel, spec->noise), -12.0f, 6.0f) - 0.5f * logs[0],
    };
    self->loudness = FULL + logs[1] + LOG_PER_DB * self->struck;
    self->follow = way_in(value(self, panel, spec->smooth));
    self->at = 0;
    self->step = 0;
}

/* Magnitudes follow what the network says, at the loudness of the hop; a note that has died has none. */
static void fit(Spectra *self, uint8_t part) {
    const uint32_t half = VK_SPSI_BINS / SPECTRA_PARTS, first = part * half;
    const bool dead = self->swell <= 0.0f;
    const f4 follow = all(self->follow), loudness = all(self->loudness);
    ROLLED
    for (uint32_t k = first; k < first + half; k += 4u) {
        const f4 said = most(least(four_at(self->said + k), all(LOUDEST)), all(QUIETEST));
        const f4 before = four_at(self->smooth + k), now = before + product(follow, said - before);
        FOUR {
            self->smooth[k + j] = now[j];
            self->logs[k + j] = dead ? NOTHING : now[j] + loudness[j];
        }
    }
}

static void do_step(Spectra *self, const SpectraStep *step) {
    const SpectraSpec *spec = self->spec;
    switch (step->stage) {
    case SPECTRA_STAGE_SAY:
        spec->model->process(spec->memory, step->part, self->latent, self->control, self->said);
        break;
    case SPECTRA_STAGE_FIT: fit(self, step->part); break;
    default: vk_spsi_piece(&self->roots, &self->asked, self->logs, &self->spsi, step->part);
    }
}

/* Samples until something falls due or the hop is complete, once all that is due is done. */
static size_t work(Spectra *self, const Panel *panel, uint32_t level) {
    const SpectraSpec *spec = self->spec;
    if (self->at == VK_SPSI_HOP) {
        begin_hop(self, panel, level);
    }
    while (self->step < spec->count && spec->steps[self->step].due <= self->at) {
        do_step(self, spec->steps + self->step);
        ++self->step;
    }
    const uint16_t next = self->step < spec->count ? spec->steps[self->step].due : VK_SPSI_HOP;
    return (size_t)(next - self->at);
}

static float volts_of(const Spectra *self, int8_t source) {
    switch (source) {
    case SPECTRA_OUT_ENVELOPE: return VOLTS * bound_unit(self->swell);
    case SPECTRA_OUT_PITCH: return bound(self->octaves - C2, 0.0f, VOLTS);
    default: return 0.0f;
    }
}

void spectra_render(Spectra *self, const Panel *panel, const PortBlock *block) {
    const SpectraSpec *spec = self->spec;
    const size_t ticks = block->ticks;
    tone_update(&self->tone, &spec->tone, panel);
    Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
    const uint32_t note = output_gates(&spec->outputs, 1u << SPECTRA_OUT_NOTE);
    float out[PORT_MAX_BLOCK];
    for (size_t done = 0; done < ticks;) {
        self->share = (float)done * panel->per_tick;
        self->rises = self->rises || (panel->rise[done] >> SPECTRA_GATE & 1u);
        const size_t due = work(self, panel, panel->level[done]), left = ticks - done, count = due < left ? due : left;
        for (size_t i = done + 1u; i < done + count && panel->risen != 0; ++i) {
            self->rises = self->rises || (panel->rise[i] >> SPECTRA_GATE & 1u);
        }
        for (size_t i = 0; i < count; ++i) {
            out[done + i] = self->sound[self->at + i] * slope_next(&level);
        }
        self->at = (uint16_t)(self->at + count);
        done += count;
    }
    for (size_t i = 0; i < ticks; ++i) {
        block->gates_out[i] = panel->level[i] >> SPECTRA_GATE & 1u ? note : 0u;
    }
    output_sound(&spec->outputs, out, block);
    for (uint8_t c = 0; c < spec->outputs.cvs; ++c) {
        const float volts = volts_of(self, spec->outputs.cv[c]);
        for (size_t i = 0; i < ticks; ++i) {
            block->cv_out[c][i] = volts;
        }
    }
}
