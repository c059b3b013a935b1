/* One neural drum hit: a decoder that is told how long ago it was struck. */
#include "voice.h"

#include "../control/bound.h"

#define DECLICK 0.96f              /* per sample: −40 dB after 2.4 ms */
#define CHOKE_STEP (1.0f / 240.0f) /* 5 ms */
#define SILENT 1e-5f               /* −100 dB */
#define GONE 1e-7f                 /* −140 dB: where a fading rest is over */
#define LOUDEST 4.0f               /* what a model may say */

void voice_init(Voice *voice, const VoiceModel *model, void *state) {
    *voice = (Voice){.model = model, .state = state};
    model->reset(state, 0);
}

void voice_reset(Voice *voice) { voice_init(voice, voice->model, voice->state); }

void voice_trigger(Voice *voice, float gain) {
    voice->declick = voice->last;
    ++voice->hits;
    voice->model->reset(voice->state, voice->hits);
    time_basis_trigger(&voice->basis, voice->model->time);
    voice->active = true;
    voice->age_ticks = 0;
    voice->wait_ticks = voice->model->hop;
    voice->envelope = gain;
    voice->fade = 1.0f;
    voice->fade_step = 0.0f;
}

void voice_choke(Voice *voice) { voice->fade_step = CHOKE_STEP; }

static void fill_frames(Voice *voice, const ToneSpec *spec, const Tone *tone, VoiceFrames *frames, size_t due,
                        size_t start, size_t block) {
    const size_t hop = voice->model->hop;
    /* The first frame is due where the age reaches a multiple of the hop. */
    size_t at = start + (hop - voice->age_ticks % hop) % hop;
    for (size_t f = 0; f < due; ++f, at += hop) {
        const float share = at < block ? (float)at / (float)block : 1.0f;
        for (uint8_t i = 0; i < spec->latents; ++i) {
            frames->latent[i * VOICE_FRAMES + f] = ramp_at(&tone->latent[i], share);
        }
        for (uint8_t i = 0; i < spec->knobs; ++i) {
            frames->knob[i * VOICE_FRAMES + f] = ramp_at(&tone->knob[i], share);
        }
        time_basis_next(&voice->basis, voice->model->time, &frames->time[f], VOICE_FRAMES);
    }
}

/* A hit alone: nothing is being faded. */
static void add_sound(Voice *voice, const float *sound, float keep, size_t ticks, float *out) {
    float envelope = voice->envelope;
    float y = voice->last;
    for (size_t i = 0; i < ticks; ++i) {
        y = bound_sound(sound[i], LOUDEST) * envelope;
        out[i] += y;
        envelope *= keep;
    }
    voice->envelope = envelope;
    voice->last = y;
}

/* The same for a hit that is being choked, or that took over from another. */
static void add_fading_sound(Voice *voice, const float *sound, float keep, size_t ticks, float *out) {
    for (size_t i = 0; i < ticks; ++i) {
        voice->last = bound_sound(sound[i], LOUDEST) * (voice->envelope * voice->fade) + voice->declick;
        out[i] += voice->last;
        voice->envelope *= keep;
        voice->declick = magnitude(voice->declick) > GONE ? voice->declick * DECLICK : 0.0f;
        voice->fade = bound_unit(voice->fade - voice->fade_step);
    }
}

/* What a cut left, until the model begins; returns the samples it took. */
static size_t add_rest(Voice *voice, size_t ticks, float *out) {
    const size_t rest = ticks < voice->wait_ticks ? ticks : voice->wait_ticks;
    for (size_t i = 0; i < rest; ++i) {
        voice->last = voice->declick;
        out[i] += voice->last;
        voice->declick = magnitude(voice->declick) > GONE ? voice->declick * DECLICK : 0.0f;
    }
    voice->wait_ticks -= (uint32_t)rest;
    return rest;
}

void voice_render(Voice *voice, const ToneSpec *spec, const Tone *tone, float decay, VoicePlace place, size_t end) {
    size_t start = voice->rendered;
    voice->rendered = end == place.ticks ? 0 : end;
    if (!voice->active) {
        return;
    }
    start += add_rest(voice, end - start, place.out + start);
    const size_t ticks = end - start;
    if (ticks == 0) {
        return;
    }
    const VoiceModel *model = voice->model;
    VoiceFrames *frames = place.frames;
    fill_frames(voice, spec, tone, frames, model->frames_due(voice->state, ticks), start, place.ticks);
    model->process(voice->state, ticks, frames);
    const float keep = 1.0f - bound_unit(decay);
    if (voice->fade_step > 0.0f || voice->declick != 0.0f) {
        add_fading_sound(voice, frames->audio, keep, ticks, place.out + start);
    } else {
        add_sound(voice, frames->audio, keep, ticks, place.out + start);
    }
    voice->age_ticks += (uint32_t)ticks;
    const float whole = model->time->frames_per_window + (float)model->tail_frames;
    const bool over = (float)voice->age_ticks >= whole * (float)model->hop;
    const bool gone = voice->fade * voice->envelope < SILENT && magnitude(voice->declick) < SILENT;
    if (over || gone) {
        voice->active = false;
        voice->last = 0.0f;
    }
}
