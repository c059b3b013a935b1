/* A listener: strokes in a sound become gates, their group, strength and likeness become voltages. */
#include "listener.h"

#include "../control/bound.h"
#include "../dsp/quick.h"

#define RISE 2.0f  /* logits above what an onset fell to: one stroke is one gate */
#define SURE 1.0f  /* logit above which a group's gate is raised */
#define DOUBT 2.0f /* logits more while something else than drums is heard */
#define MEAN_HOPS 3u
#define NOWHERE (-1e9f)
#define LONG_AGO 60000u
#define STILL 0.99869f       /* a high-pass at 10 Hz: a constant is no sound */
#define STILL_FLOOR 1e-9f    /* below it is silence, exactly */
#define SCENE_SLOW 0.015625f /* per hop: a third of a second */
#define SCENE_LEAD 0.5f      /* logits by which another scene must lead */
#define LOUDEST 4.0f         /* full scale, as the ear tells it */
#define SPAN_DB 48.0f
#define DB_PER_LOUDNESS 8.6858896f
#define GATE_VOLTS 5.0f
#define MOST_LEARNT 16u
#define PIP_LEVEL 0.4f
#define PIP_FLOOR 1e-6f
#define PIP_FADE 0.9990f /* per sample: 20 ms */

enum { SCENE_DRUMS = 0, SCENE_PITCHED, SCENE_NOISE, SCENE_SILENCE };

/* Cosine and sine of a sample's turn of every group's pip: 150, 330, 3000, 220 and 1000 Hz. */
static const float pip_cosine[LISTENER_GROUPS] = {0.99980724f, 0.99906716f, 0.92387953f, 0.99958537f, 0.99144486f};
static const float pip_sine[LISTENER_GROUPS] = {0.01963369f, 0.04318347f, 0.38268343f, 0.02879395f, 0.13052619f};

void listener_init(Listener *self, const ListenerSpec *spec) {
    self->spec = spec;
    vk_fft_begin(&self->roots);
    self->has_learnt = false;
    self->learning = false;
    listener_reset(self);
}

/* What was learnt by hand is kept. */
void listener_reset(Listener *self) {
    const ListenerSpec *spec = self->spec;
    spec->model->reset(spec->memory);
    vk_ear_reset(&self->heard_state);
    for (size_t i = 0; i < VK_HOP; ++i) {
        self->arriving[i] = 0.0f;
    }
    for (size_t i = 0; i <= VK_EAR_BANDS; ++i) {
        self->heard[i] = 0.0f;
    }
    self->now = (ListenerAnswer){{0.0f}, {0.0f}, {0.0f}};
    self->before = self->now;
    for (size_t h = 0; h < LISTENER_SAID; ++h) {
        for (size_t g = 0; g < LISTENER_GROUPS; ++g) {
            self->said[h][g] = 0.0f;
        }
    }
    self->pulses = (Pulses){0};
    self->share = 0.0f;
    self->last_in = 0.0f;
    self->last_out = 0.0f;
    self->at = 0;
    self->step = spec->count;
    self->low = NOWHERE;
    self->deaf = 0;
    self->since = LONG_AGO;
    self->naming = false;
    self->likening = false;
    self->loudest = 0.0f;
    self->group = 0.0f;
    self->confidence = 0.0f;
    self->velocity = 0.0f;
    self->likeness = 0.0f;
    for (size_t s = 0; s < LISTENER_SCENES; ++s) {
        self->mean_scene[s] = 0.0f;
    }
    self->scene = SCENE_SILENCE;
    self->pip_sine = 0.0f;
    self->pip_cosine = 0.0f;
    self->pip = 0;
}

static float value(const Listener *self, const Panel *panel, int8_t parameter) {
    return ramp_at(&panel->parameter[(uint8_t)parameter].value, self->share);
}

/* Hops of a control that says them. */
static uint16_t hops_of(float hops) { return (uint16_t)(bound(hops, 0.0f, 1000.0f) + 0.5f); }

/* Which groups the newest stroke is of, by the mean of its newest hops: those of `late` hops ago and before it. */
static void name_it(Listener *self, const Panel *panel, uint8_t late, uint16_t hops, uint8_t scene) {
    const ListenerSpec *spec = self->spec;
    const float more[LISTENER_GROUPS] = {value(self, panel, spec->kick), value(self, panel, spec->snare),
                                         value(self, panel, spec->hat), 0.0f, 0.0f};
    const float sure = scene == SCENE_PITCHED || scene == SCENE_NOISE ? SURE + DOUBT : SURE;
    const uint8_t count = hops < MEAN_HOPS ? (uint8_t)hops : MEAN_HOPS;
    uint8_t best = 0;
    float logit = NOWHERE;
    for (uint8_t g = 0; g < LISTENER_GROUPS; ++g) {
        float said = 0.0f;
        for (uint8_t h = 0; h < count; ++h) {
            said += self->said[late + h][g];
        }
        said = said / (float)count + more[g];
        if (said > sure) {
            pulses_start(&self->pulses, (uint8_t)(LISTENER_OUT_KICK + g));
        }
        if (said > logit) {
            logit = said;
            best = g;
        }
    }
    self->naming = false;
    self->group = (float)best;
    self->confidence = GATE_VOLTS / (1.0f + natural_exp(-logit));
    self->velocity = GATE_VOLTS * bound_unit(1.0f + (self->loudest - LOUDEST) * (DB_PER_LOUDNESS / SPAN_DB));
    self->pip = best;
    self->pip_sine = 0.0f;
    self->pip_cosine = PIP_LEVEL;
}

static float length_of(const float *x, uint8_t count) {
    float square = 0.0f;
    for (uint8_t i = 0; i < count; ++i) {
        square += x[i] * x[i];
    }
    return __builtin_sqrtf(square + 1e-12f);
}

/* Learn the newest stroke, or tell how like the learnt ones it is. */
static void liken(Listener *self, const Panel *panel, const ListenerAnswer *answer) {
    const uint8_t count = self->spec->model->embedding;
    const float scale = 1.0f / length_of(answer->embedding, count);
    self->likening = false;
    if (self->learning) {
        if (self->learnt < MOST_LEARNT) {
            for (uint8_t i = 0; i < count; ++i) {
                self->centre[i] += scale * answer->embedding[i];
            }
            ++self->learnt;
            pulses_start(&self->pulses, LISTENER_OUT_USER);
        }
        return;
    }
    if (!self->has_learnt) {
        return;
    }
    float likeness = 0.0f;
    for (uint8_t i = 0; i < count; ++i) {
        likeness += scale * answer->embedding[i] * self->centre[i];
    }
    self->likeness = GATE_VOLTS * bound_unit(likeness);
    if (likeness > value(self, panel, self->spec->near)) {
        pulses_start(&self->pulses, LISTENER_OUT_USER);
    }
}

/* The gate that teaches: strokes are taken while it is high. */
static void teach(Listener *self, bool high) {
    if (high == self->learning) {
        return;
    }
    self->learning = high;
    const uint8_t count = self->spec->model->embedding;
    if (high) {
        self->learnt = 0;
        self->has_learnt = false;
        self->likeness = 0.0f;
        for (uint8_t i = 0; i < count; ++i) {
            self->centre[i] = 0.0f;
        }
        return;
    }
    const float scale = 1.0f / length_of(self->centre, count);
    for (uint8_t i = 0; i < count; ++i) {
        self->centre[i] *= scale;
    }
    self->has_learnt = self->learnt > 0;
}

static void follow_scene(Listener *self) {
    uint8_t best = self->scene;
    for (uint8_t s = 0; s < LISTENER_SCENES; ++s) {
        self->mean_scene[s] += SCENE_SLOW * (self->now.scene[s] - self->mean_scene[s]);
    }
    for (uint8_t s = 0; s < LISTENER_SCENES; ++s) {
        best = self->mean_scene[s] > self->mean_scene[best] ? s : best;
    }
    if (self->mean_scene[best] > self->mean_scene[self->scene] + SCENE_LEAD) {
        self->scene = best;
    }
}

/* The newest hop's groups before the older ones. */
static void remember(Listener *self) {
    for (uint8_t h = LISTENER_SAID - 1u; h > 0; --h) {
        for (uint8_t g = 0; g < LISTENER_GROUPS; ++g) {
            self->said[h][g] = self->said[h - 1u][g];
        }
    }
    for (uint8_t g = 0; g < LISTENER_GROUPS; ++g) {
        self->said[0][g] = self->now.strokes[1u + g];
    }
}

/* A hop was heard and thought about: what happened in it. */
static void decide(Listener *self, const Panel *panel) {
    const ListenerSpec *spec = self->spec;
    const float onset = self->now.strokes[0], loudness = self->heard[spec->model->ear.bands];
    const uint16_t patience = hops_of(value(self, panel, spec->patience));
    const uint8_t scene_before = self->scene;
    remember(self);
    follow_scene(self);
    if (self->since < LONG_AGO) {
        ++self->since;
    }
    self->loudest = loudness > self->loudest ? loudness : self->loudest;
    if (self->deaf > 0) {
        --self->deaf;
    } else if (onset > value(self, panel, spec->threshold) && onset > self->low + RISE) {
        if (self->naming) {
            name_it(self, panel, 1, self->since, scene_before);
        }
        if (self->likening) {
            liken(self, panel, &self->before);
        }
        self->deaf = hops_of(value(self, panel, spec->hold));
        self->low = onset;
        self->since = 0;
        self->naming = true;
        self->likening = true;
        self->loudest = loudness;
        pulses_start(&self->pulses, LISTENER_OUT_ONSET);
    }
    self->low = onset < self->low ? onset : self->low;
    if (self->naming && self->since >= patience) {
        name_it(self, panel, 0, (uint16_t)(self->since + 1u), self->scene);
    }
    if (self->likening && self->since >= LISTENER_SURE_HOPS) {
        liken(self, panel, &self->now);
    }
    self->before = self->now;
}

static void do_step(Listener *self, const Panel *panel, const ListenerStep *step) {
    const ListenerSpec *spec = self->spec;
    switch (step->stage) {
    case LISTENER_STAGE_HEAR:
        vk_ear_hear(&spec->model->ear, &self->roots, &self->heard_state, step->part, self->heard);
        break;
    case LISTENER_STAGE_THINK: spec->model->process(spec->memory, step->part, self->heard, &self->now); break;
    default: decide(self, panel);
    }
}

/* Does what is due. Samples until it is decided what happened or the hop is complete: what comes between shows in
 * nothing, so a callback does it at its beginning. */
static size_t work(Listener *self, const Panel *panel) {
    const ListenerSpec *spec = self->spec;
    if (self->at == VK_HOP) {
        vk_ear_take(&spec->model->ear, &self->heard_state, self->arriving, self->heard + spec->model->ear.bands);
        self->at = 0;
        self->step = 0;
    }
    while (self->step < spec->count && spec->steps[self->step].due <= self->at) {
        do_step(self, panel, spec->steps + self->step);
        ++self->step;
    }
    const uint16_t next = self->step < spec->count ? spec->steps[spec->count - 1u].due : VK_HOP;
    return (size_t)(next - self->at);
}

/* The sound without its constant part, into the hop that arrives and to `out`. */
static void take_in(Listener *self, const float *in, Slope *gain, float *out, size_t count) {
    float last_in = self->last_in, last_out = self->last_out;
    float *arriving = self->arriving + self->at;
    for (size_t i = 0; i < count; ++i) {
        const float now = audible(in[i] * slope_next(gain));
        last_out = (now - last_in) + STILL * last_out;
        last_in = now;
        arriving[i] = last_out;
        out[i] = last_out;
    }
    self->last_in = last_in;
    self->last_out = magnitude(last_out) < STILL_FLOOR ? 0.0f : last_out;
    self->at = (uint16_t)(self->at + count);
}

/* What is heard of it: itself, or the beep of the newest stroke, which is not begun where none of it is heard. */
static void mix(Listener *self, Slope *monitor, Slope *level, float *out, size_t count) {
    const float c = pip_cosine[self->pip], s = pip_sine[self->pip];
    float sine = self->pip_sine, cosine = self->pip_cosine;
    if (monitor->now == 0.0f && monitor->step == 0.0f) {
        sine = 0.0f;
        cosine = 0.0f;
        for (size_t i = 0; i < count; ++i) {
            out[i] *= slope_next(level);
        }
    } else if (magnitude(sine) + magnitude(cosine) < PIP_FLOOR) {
        sine = 0.0f;
        cosine = 0.0f;
        for (size_t i = 0; i < count; ++i) {
            out[i] = (out[i] - slope_next(monitor) * out[i]) * slope_next(level);
        }
    } else {
        for (size_t i = 0; i < count; ++i) {
            const float next = PIP_FADE * (c * sine + s * cosine);
            cosine = PIP_FADE * (c * cosine - s * sine);
            sine = next;
            out[i] = (out[i] + slope_next(monitor) * (sine - out[i])) * slope_next(level);
        }
    }
    self->pip_sine = sine;
    self->pip_cosine = cosine;
}

/* Gates of a stretch in which none begins. */
static void gates(Listener *self, uint32_t *high, size_t count) {
    Pulses *pulses = &self->pulses;
    if (pulses->high == 0) {
        pulses->now += (uint32_t)count;
        for (size_t i = 0; i < count; ++i) {
            high[i] = 0;
        }
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        high[i] = pulses_next(pulses);
    }
}

static float volts_of(const Listener *self, int8_t source) {
    switch (source) {
    case LISTENER_OUT_GROUP: return self->group;
    case LISTENER_OUT_CONFIDENCE: return self->confidence;
    case LISTENER_OUT_VELOCITY: return self->velocity;
    case LISTENER_OUT_SCENE: return (float)self->scene;
    case LISTENER_OUT_LIKENESS: return self->likeness;
    default: return source >= 0 && (self->pulses.high >> source & 1u) ? GATE_VOLTS : 0.0f;
    }
}

void listener_render(Listener *self, const Panel *panel, const PortBlock *block) {
    const ListenerSpec *spec = self->spec;
    const size_t ticks = block->ticks;
    Slope gain = panel_slope(panel, (uint8_t)spec->gain, 0), monitor = panel_slope(panel, (uint8_t)spec->monitor, 0);
    Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
    static const float silence[PORT_MAX_BLOCK];
    const float *in = block->audio_in != NULL ? block->audio_in[0] : silence;
    float out[PORT_MAX_BLOCK];
    uint32_t high[PORT_MAX_BLOCK];
    for (size_t done = 0; done < ticks;) {
        self->share = (float)done * panel->per_tick;
        teach(self, panel->level[done] >> LISTENER_LEARN & 1u);
        const size_t due = work(self, panel), left = ticks - done, count = due < left ? due : left;
        take_in(self, in + done, &gain, out + done, count);
        mix(self, &monitor, &level, out + done, count);
        gates(self, high + done, count);
        done += count;
    }
    output_sound(&spec->outputs, out, block);
    output_gate_block(&spec->outputs, high, block);
    for (uint8_t c = 0; c < spec->outputs.cvs; ++c) {
        const float volts = volts_of(self, spec->outputs.cv[c]);
        for (size_t i = 0; i < ticks; ++i) {
            block->cv_out[c][i] = volts;
        }
    }
}
