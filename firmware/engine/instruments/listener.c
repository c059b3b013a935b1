/* A listener: strokes in a sound become gates, their group, strength and likeness become voltages. */
#include "listener.h"

#include "../control/bound.h"

#define GATE_VOLTS 5.0f
#define PIP_LEVEL 0.4f
#define PIP_FLOOR 1e-6f
#define PIP_FADE 0.9990f /* per sample: 20 ms */

/* Cosine and sine of a sample's turn of every group's pip: 150, 330, 3000, 220 and 1000 Hz. */
static const float pip_cosine[LISTENER_GROUPS] = {0.99980724f, 0.99906716f, 0.92387953f, 0.99958537f, 0.99144486f};
static const float pip_sine[LISTENER_GROUPS] = {0.01963369f, 0.04318347f, 0.38268343f, 0.02879395f, 0.13052619f};

void listener_init(Listener *self, const ListenerSpec *spec) {
    self->spec = spec;
    vk_fft_begin(&self->roots);
    listening_init(&self->ear, &spec->ear, &self->roots);
    listener_reset(self);
}

void listener_reset(Listener *self) {
    listening_reset(&self->ear);
    self->pip_sine = 0.0f;
    self->pip_cosine = 0.0f;
    self->pip = 0;
}

/* The beep of a stroke that was named just now. */
static void begin_pip(Listener *self) {
    if (!self->ear.named) {
        return;
    }
    self->ear.named = false;
    self->pip = (uint8_t)self->ear.group;
    self->pip_sine = 0.0f;
    self->pip_cosine = PIP_LEVEL;
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
static void gates(Pulses *pulses, uint32_t *high, size_t count) {
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

static float volts_of(const Listening *ear, int8_t source) {
    switch (source) {
    case LISTENER_OUT_GROUP: return ear->group;
    case LISTENER_OUT_CONFIDENCE: return ear->confidence;
    case LISTENER_OUT_VELOCITY: return ear->velocity;
    case LISTENER_OUT_SCENE: return (float)ear->scene;
    case LISTENER_OUT_LIKENESS: return ear->likeness;
    default: return source >= 0 && (ear->pulses.high >> source & 1u) ? GATE_VOLTS : 0.0f;
    }
}

void listener_render(Listener *self, const Panel *panel, const PortBlock *block) {
    const ListenerSpec *spec = self->spec;
    Listening *ear = &self->ear;
    const size_t ticks = block->ticks;
    Slope gain = panel_slope(panel, (uint8_t)spec->gain, 0), monitor = panel_slope(panel, (uint8_t)spec->monitor, 0);
    Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
    static const float silence[PORT_MAX_BLOCK];
    const float *in = block->audio_in != NULL ? block->audio_in[0] : silence;
    float out[PORT_MAX_BLOCK];
    uint32_t high[PORT_MAX_BLOCK];
    for (size_t done = 0; done < ticks;) {
        listening_teach(ear, panel->level[done] >> LISTENER_LEARN & 1u);
        const size_t due = listening_work(ear, panel, (float)done * panel->per_tick);
        const size_t left = ticks - done, count = due < left ? due : left;
        begin_pip(self);
        for (size_t i = done; i < done + count; ++i) {
            out[i] = audible(in[i] * slope_next(&gain));
        }
        listening_take(ear, out + done, out + done, count);
        mix(self, &monitor, &level, out + done, count);
        gates(&self->ear.pulses, high + done, count);
        done += count;
    }
    output_sound(&spec->outputs, out, block);
    output_gate_block(&spec->outputs, high, block);
    for (uint8_t c = 0; c < spec->outputs.cvs; ++c) {
        const float volts = volts_of(ear, spec->outputs.cv[c]);
        for (size_t i = 0; i < ticks; ++i) {
            block->cv_out[c][i] = volts;
        }
    }
}
