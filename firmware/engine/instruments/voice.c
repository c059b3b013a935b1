/* One drum hit: modes, banded noise and a transient. */
#include "voice.h"

#include "../control/bound.h"

#define DECLICK 0.96f              /* per sample: −40 dB after 2.4 ms */
#define CHOKE_STEP (1.0f / 240.0f) /* 5 ms */
#define ENDING 50u                 /* frames at the window's end in which what still rings is faded */
#define ENDING_STEP (1.0f / (ENDING * VK_HIT_FRAME))
#define SILENT 1e-5f /* −100 dB */
#define GONE 1e-7f   /* −140 dB: where a fading rest is over */
#define LOUDEST 4.0f /* what a model may say */

void voice_init(Voice *voice, const HitSound *sound) { *voice = (Voice){.sound = sound}; }

void voice_reset(Voice *voice) { voice_init(voice, voice->sound); }

void voice_trigger(Voice *voice, float gain) {
    voice->declick = voice->last;
    voice->active = true;
    voice->waiting = true;
    voice->age_ticks = 0;
    voice->envelope = gain;
    voice->fade = 1.0f;
    voice->fade_step = 0.0f;
}

void voice_start(Voice *voice, const HitSet *set) {
    const HitSound *sound = voice->sound;
    voice->waiting = false;
    voice->over = false;
    voice->frame = 0;
    voice->place = VK_HIT_FRAME; /* the first frame is to be made */
    voice->point = 0;
    vk_modes_start(&sound->modes, set->mode, voice->mode);
    vk_bands_start(&voice->noise, vk_hit_key(sound->seed, voice->hits), &set->first);
    for (uint32_t n = 0; n < sound->transient; n++) {
        voice->transient[n] = set->transient[n];
    }
    ++voice->hits; /* no two hits alike */
}

void voice_choke(Voice *voice) { voice->fade_step = CHOKE_STEP; }

/* The gains at a frame's end. */
static vk_band_gains gains_at(Voice *voice, const HitSet *set, uint32_t frame) {
    const HitSound *sound = voice->sound;
    const uint16_t *grid = sound->grid;
    while (voice->point + 2u < sound->points && grid[voice->point + 1u] <= frame) {
        ++voice->point;
    }
    const float *before = set->noise + voice->point * sound->bands.count;
    const uint32_t from = grid[voice->point], to = grid[voice->point + 1u];
    return (vk_band_gains){before, before + sound->bands.count, (float)(frame - from) / (float)(to - from)};
}

static void make_frame(Voice *voice, const HitSet *set) {
    const HitSound *sound = voice->sound;
    float *made = voice->made;
    for (uint32_t n = 0; n < VK_HIT_FRAME; n++) {
        made[n] = 0.0f;
    }
    const vk_band_gains gains = gains_at(voice, set, voice->frame + 1u);
    const bool rings = vk_modes_frame(&sound->modes, set->mode, &set->glide, voice->mode, voice->frame, made);
    const bool hisses = vk_bands_frame(&sound->bands, &voice->noise, &gains, made);
    const uint32_t begin = voice->frame * VK_HIT_FRAME;
    for (uint32_t n = 0; n < VK_HIT_FRAME && begin + n < sound->transient; n++) {
        made[n] += voice->transient[begin + n] * sound->fade[begin + n];
    }
    const uint32_t window = sound->grid[sound->points - 1u];
    if (voice->frame + ENDING == window && voice->fade_step < ENDING_STEP) {
        voice->fade_step = ENDING_STEP;
    }
    ++voice->frame;
    voice->place = 0;
    voice->over = voice->frame >= window || (!rings && !hisses && voice->frame * VK_HIT_FRAME >= sound->transient);
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

/* What a cut left, until the sound begins. */
static void add_rest(Voice *voice, size_t ticks, float *out) {
    for (size_t i = 0; i < ticks; ++i) {
        voice->last = voice->declick;
        out[i] += voice->last;
        voice->declick = magnitude(voice->declick) > GONE ? voice->declick * DECLICK : 0.0f;
    }
}

static void end_where_silent(Voice *voice) {
    const bool over = voice->over && voice->place == VK_HIT_FRAME;
    const bool gone = voice->fade * voice->envelope < SILENT && magnitude(voice->declick) < SILENT;
    if (over || gone) {
        voice->active = false;
        voice->last = 0.0f;
    }
}

void voice_render(Voice *voice, const HitSet *set, float decay, float *out, size_t ticks) {
    const float keep = 1.0f - bound_unit(decay);
    voice->age_ticks += (uint32_t)ticks;
    while (ticks > 0 && voice->active) {
        if (voice->waiting) {
            add_rest(voice, ticks, out);
            return;
        }
        if (voice->place == VK_HIT_FRAME) {
            make_frame(voice, set);
        }
        const size_t left = VK_HIT_FRAME - voice->place, count = ticks < left ? ticks : left;
        const float *sound = voice->made + voice->place;
        if (voice->fade_step > 0.0f || voice->declick != 0.0f) {
            add_fading_sound(voice, sound, keep, count, out);
        } else {
            add_sound(voice, sound, keep, count, out);
        }
        voice->place += (uint32_t)count;
        out += count;
        ticks -= count;
        end_where_silent(voice);
    }
}
