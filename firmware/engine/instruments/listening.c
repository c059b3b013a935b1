/* Hops of sound become what an ear says of them, and that becomes strokes. */
#include "listening.h"

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

enum { SCENE_DRUMS = 0, SCENE_PITCHED, SCENE_NOISE, SCENE_SILENCE };

void listening_init(Listening *self, const ListeningSpec *spec, const vk_fft_roots *roots) {
    self->spec = spec;
    self->roots = roots;
    self->has_learnt = false;
    self->learning = false;
    listening_reset(self);
}

void listening_reset(Listening *self) {
    const ListeningSpec *spec = self->spec;
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
    self->raised = 0;
    self->last_in = 0.0f;
    self->last_out = 0.0f;
    self->at = 0;
    self->step = spec->count;
    self->low = NOWHERE;
    self->deaf = 0;
    self->since = LONG_AGO;
    self->naming = false;
    self->likening = false;
    self->named = false;
    self->loudest = 0.0f;
    self->group = 0.0f;
    self->confidence = 0.0f;
    self->velocity = 0.0f;
    self->likeness = 0.0f;
    for (size_t s = 0; s < LISTENER_SCENES; ++s) {
        self->mean_scene[s] = 0.0f;
    }
    self->scene = SCENE_SILENCE;
}

/* A parameter after a share of the block. */
typedef struct Hands {
    const Panel *panel;
    float share;
} Hands;

static float value(Hands hands, int8_t parameter) {
    return ramp_at(&hands.panel->parameter[(uint8_t)parameter].value, hands.share);
}

/* Hops of a control that says them. */
static uint16_t hops_of(float hops) { return (uint16_t)(bound(hops, 0.0f, 1000.0f) + 0.5f); }

static void raise(Listening *self, uint8_t output) {
    pulses_start(&self->pulses, output);
    self->raised |= 1u << output;
}

/* Which groups the newest stroke is of, by the mean of its newest hops: those of `late` hops ago and before it. */
static void name_it(Listening *self, Hands hands, uint8_t late, uint16_t hops, uint8_t scene) {
    const ListeningSpec *spec = self->spec;
    const float more[LISTENER_GROUPS] = {value(hands, spec->kick), value(hands, spec->snare), value(hands, spec->hat),
                                         0.0f, 0.0f};
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
            raise(self, (uint8_t)(LISTENER_OUT_KICK + g));
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
    self->named = true;
}

static float length_of(const float *x, uint8_t count) {
    float square = 0.0f;
    for (uint8_t i = 0; i < count; ++i) {
        square += x[i] * x[i];
    }
    return __builtin_sqrtf(square + 1e-12f);
}

/* Learn the newest stroke, or tell how like the learnt ones it is. */
static void liken(Listening *self, Hands hands, const ListenerAnswer *answer) {
    const uint8_t count = self->spec->model->embedding;
    const float scale = 1.0f / length_of(answer->embedding, count);
    self->likening = false;
    if (self->learning) {
        if (self->learnt < MOST_LEARNT) {
            for (uint8_t i = 0; i < count; ++i) {
                self->centre[i] += scale * answer->embedding[i];
            }
            ++self->learnt;
            raise(self, LISTENER_OUT_USER);
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
    if (likeness > value(hands, self->spec->near)) {
        raise(self, LISTENER_OUT_USER);
    }
}

void listening_teach(Listening *self, bool high) {
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

static void follow_scene(Listening *self) {
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
static void remember(Listening *self) {
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
static void decide(Listening *self, Hands hands) {
    const ListeningSpec *spec = self->spec;
    const float onset = self->now.strokes[0], loudness = self->heard[spec->model->ear.bands];
    const uint16_t patience = hops_of(value(hands, spec->patience));
    const uint8_t scene_before = self->scene;
    remember(self);
    follow_scene(self);
    if (self->since < LONG_AGO) {
        ++self->since;
    }
    self->loudest = loudness > self->loudest ? loudness : self->loudest;
    if (self->deaf > 0) {
        --self->deaf;
    } else if (onset > value(hands, spec->threshold) && onset > self->low + RISE) {
        if (self->naming) {
            name_it(self, hands, 1, self->since, scene_before);
        }
        if (self->likening) {
            liken(self, hands, &self->before);
        }
        self->deaf = hops_of(value(hands, spec->hold));
        self->low = onset;
        self->since = 0;
        self->naming = true;
        self->likening = true;
        self->loudest = loudness;
        raise(self, LISTENER_OUT_ONSET);
    }
    self->low = onset < self->low ? onset : self->low;
    if (self->naming && self->since >= patience) {
        name_it(self, hands, 0, (uint16_t)(self->since + 1u), self->scene);
    }
    if (self->likening && self->since >= LISTENER_SURE_HOPS) {
        liken(self, hands, &self->now);
    }
    self->before = self->now;
}

static void do_step(Listening *self, Hands hands, const ListenerStep *step) {
    const ListeningSpec *spec = self->spec;
    switch (step->stage) {
    case LISTENER_STAGE_HEAR:
        vk_ear_hear(&spec->model->ear, self->roots, &self->heard_state, step->part, self->heard);
        break;
    case LISTENER_STAGE_THINK: spec->model->process(spec->memory, step->part, self->heard, &self->now); break;
    default: decide(self, hands);
    }
}

size_t listening_work(Listening *self, const Panel *panel, float share) {
    const ListeningSpec *spec = self->spec;
    const Hands hands = {panel, share};
    if (self->at == VK_HOP) {
        vk_ear_take(&spec->model->ear, &self->heard_state, self->arriving, self->heard + spec->model->ear.bands);
        self->at = 0;
        self->step = 0;
    }
    while (self->step < spec->count && spec->steps[self->step].due <= self->at) {
        do_step(self, hands, spec->steps + self->step);
        ++self->step;
    }
    const uint16_t next = self->step < spec->count ? spec->steps[spec->count - 1u].due : VK_HOP;
    return (size_t)(next - self->at);
}

void listening_take(Listening *self, const float *in, float *still, size_t count) {
    float last_in = self->last_in, last_out = self->last_out;
    float *arriving = self->arriving + self->at;
    for (size_t i = 0; i < count; ++i) {
        const float now = in[i];
        last_out = (now - last_in) + STILL * last_out;
        last_in = now;
        arriving[i] = last_out;
        still[i] = last_out;
    }
    self->last_in = last_in;
    self->last_out = magnitude(last_out) < STILL_FLOOR ? 0.0f : last_out;
    self->at = (uint16_t)(self->at + count);
}
