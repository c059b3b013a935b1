/* A texture: sound becomes latents, hands bend them, latents become sound, a hop of 256 samples at a time. */
#include "texture.h"

#include "../control/bound.h"
#include "../dsp/quick.h"

#define PERIOD_HZ 6000.0f /* rate at which periods are told */
#define A3_HZ 220.0f
#define A3_VOLTS 2.75f /* above the lowest C of a cello's octave, at 1 V an octave */
#define HELD_VOICING 0.95f
#define LOUDEST 4.6f /* full scale, as the ear tells it; a hand moves 0 … 1 of what is above silence */
#define SILENT (-5.2f)
#define ONSET_RISE 1.0f     /* 8.7 dB above what it was */
#define ONSET_FLOOR (-1.0f) /* −43 dBFS */
#define DEAF_HOPS 12u       /* 64 ms after a sound began */
#define SLOW 0.3f           /* per hop */

void texture_init(Texture *texture, const TextureSpec *spec) {
    texture->spec = spec;
    texture->tone.started = false;
    vk_fft_begin(&texture->roots);
    if (spec->ear != NULL) {
        listening_init(spec->listening, spec->ear, &texture->roots);
    }
    texture_reset(texture);
}

static void clear(float *x, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        x[i] = 0.0f;
    }
}

void texture_reset(Texture *texture) {
    const TextureSpec *spec = texture->spec;
    if (spec->encoder != NULL) {
        spec->encoder->reset(spec->encoder_memory);
    }
    if (spec->decoder != NULL) {
        spec->decoder->reset(spec->decoder_memory);
    }
    if (spec->ear != NULL) {
        listening_reset(spec->listening);
    }
    vk_ear_reset(&texture->ear);
    vk_pitch_reset(&texture->tracker);
    vk_source_reset(&texture->source);
    clear(texture->arriving, VK_HOP);
    clear(texture->playing, VK_HOP);
    clear(texture->heard, VK_EAR_BANDS + 1u);
    clear(texture->latent, TEXTURE_LATENTS);
    clear(texture->numbers, TEXTURE_NUMBERS);
    clear(texture->dry, TEXTURE_DRY);
    texture->ear_says = (TextureFrame){.loudness = SILENT};
    texture->played = texture->ear_says;
    texture->share = 0.0f;
    texture->written = 0;
    texture->at = 0;
    texture->step = spec->count;
    texture->frozen = false;
    texture->holds = false;
    texture->caught = 0;
    texture->slow_loudness = SILENT;
    texture->onset = 0;
    texture->deaf = 0;
}

static float value(const Texture *texture, const Panel *panel, int8_t parameter) {
    return ramp_at(&panel->parameter[(uint8_t)parameter].value, texture->share);
}

/* Drawn to the nearest semitone by a share of the way. */
static float quantized(float octaves, float share) {
    const float semitones = octaves * 12.0f;
    const float nearest = (semitones + MAGIC) - MAGIC;
    return (semitones + share * (nearest - semitones)) * (1.0f / 12.0f);
}

/* What hands make of what was heard. */
static void play(Texture *texture, const Panel *panel) {
    const TextureSpec *spec = texture->spec;
    const TextureFrame *heard = &texture->ear_says;
    TextureFrame *played = &texture->played;
    const float blend = spec->encoder != NULL ? value(texture, panel, spec->blend) : 1.0f, rest = 1.0f - blend;
    const float scale = value(texture, panel, spec->scale);
    for (uint8_t i = 0; i < spec->tone.latents; ++i) {
        const float mean = spec->tone.latent_rest[i], moved = ramp_at(&texture->tone.latent[i], texture->share) - mean;
        const float bent = mean + rest * (scale * (heard->latent[i] - mean)) + moved;
        const float *ends = spec->quantiles + (size_t)i * spec->points;
        const float span = ends[spec->points - 1u] - ends[0];
        played->latent[i] = bound(bent, ends[0] - span, ends[spec->points - 1u] + span);
    }
    for (uint8_t i = 0; i < spec->tone.knobs; ++i) {
        texture->knob[i] = ramp_at(&texture->tone.knob[i], texture->share);
    }
    if (spec->layer != NULL) {
        (void)spec->layer->process(&spec->memory, spec->layer, panel, VK_HOP, played->latent, texture->knob);
    }
    const float octaves = rest * heard->octaves + blend * value(texture, panel, spec->pitch);
    const float moved = octaves + value(texture, panel, spec->transpose);
    played->octaves = quantized(moved, value(texture, panel, spec->quantize));
    played->voicing = rest * heard->voicing + blend * HELD_VOICING;
    texture->control[0] = played->octaves;
    texture->control[1] = played->voicing;
    texture->control[2] = played->loudness;
}

static void find_onset(Texture *texture) {
    const float loudness = texture->ear_says.loudness;
    if (texture->deaf > 0) {
        --texture->deaf;
    } else if (loudness > ONSET_FLOOR && loudness > texture->slow_loudness + ONSET_RISE) {
        texture->onset = PULSE_TICKS;
        texture->deaf = DEAF_HOPS;
    }
    texture->slow_loudness += SLOW * (loudness - texture->slow_loudness);
}

/* A hop is complete: how loud it is, and what sounds at that. */
static void begin_hop(Texture *texture, const Panel *panel) {
    const TextureSpec *spec = texture->spec;
    const float blend = spec->encoder != NULL ? value(texture, panel, spec->blend) : 1.0f;
    const float hand = SILENT + value(texture, panel, spec->loudness) * (LOUDEST - SILENT);
    texture->holds = texture->frozen || texture->caught > 0;
    texture->caught = texture->caught > 0 ? (uint16_t)(texture->caught - 1u) : 0u;
    if (spec->encoder != NULL) {
        float *loudness = texture->heard + spec->encoder->ear.bands;
        vk_ear_take(&spec->encoder->ear, &texture->ear, texture->arriving, loudness);
        texture->ear_says.loudness = texture->holds ? texture->ear_says.loudness : *loudness;
    }
    find_onset(texture);
    texture->played.loudness = (1.0f - blend) * texture->ear_says.loudness + blend * hand;
    if (spec->decoder != NULL) {
        vk_source_sound(texture->played.loudness, &texture->source, texture->playing);
    }
    texture->at = 0;
    texture->step = 0;
}

static void do_step(Texture *texture, const Panel *panel, const TextureStep *step) {
    const TextureSpec *spec = texture->spec;
    const TextureEncoder *encoder = spec->encoder;
    const TextureDecoder *decoder = spec->decoder;
    TextureFrame *heard = &texture->ear_says;
    switch (step->stage) {
    case TEXTURE_STAGE_TRACK: {
        const float *audio = texture->ear.past + VK_EAR_SIZE - VK_HOP - VK_PITCH_OLD;
        vk_pitch_track(spec->pitch_taps, &texture->tracker, audio, step->part);
        break;
    }
    case TEXTURE_STAGE_HEAR:
        vk_ear_hear(&encoder->ear, &texture->roots, &texture->ear, step->part, texture->heard);
        break;
    case TEXTURE_STAGE_ENCODE:
        encoder->process(spec->encoder_memory, step->part, texture->heard, texture->latent);
        break;
    case TEXTURE_STAGE_PLAY:
        if (encoder != NULL && !texture->holds) {
            heard->octaves = quick_log(all(PERIOD_HZ / A3_HZ / texture->tracker.period))[0] * 1.44269504f;
            heard->voicing = texture->tracker.voicing;
            for (uint8_t i = 0; i < spec->tone.latents; ++i) {
                heard->latent[i] = texture->latent[i];
            }
        }
        play(texture, panel);
        break;
    case TEXTURE_STAGE_PULSES:
        vk_source_pulses(texture->played.octaves, &texture->roots, &texture->source, step->part);
        break;
    case TEXTURE_STAGE_DECODE:
        decoder->process(spec->decoder_memory, step->part, texture->played.latent, texture->control, texture->knob,
                         texture->numbers);
        break;
    case TEXTURE_STAGE_GAINS: vk_source_gains(&decoder->filter, &texture->source, texture->numbers, step->part); break;
    default: vk_source_frame(&decoder->filter, &texture->roots, &texture->source, step->part);
    }
}

/* What falls due at this place of the hop. */
static void work(Texture *texture, const Panel *panel) {
    const TextureSpec *spec = texture->spec;
    while (texture->step < spec->count && spec->steps[texture->step].due <= texture->at) {
        do_step(texture, panel, spec->steps + texture->step);
        ++texture->step;
    }
}

/* Samples until something falls due or the hop is complete. */
static size_t until_due(const Texture *texture) {
    const TextureSpec *spec = texture->spec;
    const uint16_t next = texture->step < spec->count ? spec->steps[texture->step].due : VK_HOP;
    return (size_t)(next - texture->at);
}

/* Place of a latent in its quantile table, 0 … 1. */
static float place(const float *table, uint8_t points, float x) {
    uint8_t i = 1;
    while (i < points - 1u && x > table[i]) {
        ++i;
    }
    const float part = bound_unit((x - table[i - 1u]) / (table[i] - table[i - 1u]));
    return ((float)(i - 1u) + part) / (float)(points - 1u);
}

static float volts_of(const Texture *texture, int8_t source) {
    const TextureSpec *spec = texture->spec;
    const TextureFrame *heard = spec->encoder != NULL ? &texture->ear_says : &texture->played;
    switch (source) {
    case TEXTURE_OUT_PITCH: return bound(heard->octaves + A3_VOLTS, 0.0f, 5.0f);
    case TEXTURE_OUT_VOICING: return 5.0f * bound_unit(heard->voicing);
    case TEXTURE_OUT_LOUDNESS: return 5.0f * bound_unit((heard->loudness - SILENT) / (LOUDEST - SILENT));
    default: break;
    }
    const bool played = source >= (int8_t)TEXTURE_LATENTS;
    const uint8_t i = (uint8_t)source % TEXTURE_LATENTS;
    if (source < 0 || i >= spec->tone.latents) {
        return 0.0f;
    }
    const float latent = played ? texture->played.latent[i] : heard->latent[i];
    return 5.0f * place(spec->quantiles + (size_t)i * spec->points, spec->points, latent);
}

/* Samples until an ear beside it decides something; what it decided may freeze the texture. */
static size_t listen(Texture *texture, const Panel *panel) {
    const TextureSpec *spec = texture->spec;
    Listening *listening = spec->listening;
    const size_t due = listening_work(listening, panel, texture->share);
    const uint32_t wanted = (uint32_t)(bound(value(texture, panel, spec->catch), 0.0f, 31.0f) + 0.5f);
    if (listening->raised >> wanted & 1u) {
        texture->caught = (uint16_t)(bound(value(texture, panel, spec->caught), 1.0f, 1000.0f) + 0.5f);
    }
    listening->raised = 0;
    return due;
}

void texture_render(Texture *texture, const Panel *panel, const PortBlock *block) {
    const TextureSpec *spec = texture->spec;
    const size_t ticks = block->ticks;
    tone_update(&texture->tone, &spec->tone, panel);
    Slope gain = panel_slope(panel, (uint8_t)spec->gain, 0), mix = panel_slope(panel, (uint8_t)spec->mix, 0);
    Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
    const uint32_t onset = output_gates(&spec->outputs, 1u << TEXTURE_OUT_ONSET);
    float out[PORT_MAX_BLOCK], still[PORT_MAX_BLOCK];
    for (size_t done = 0; done < ticks;) {
        texture->share = (float)done * panel->per_tick;
        texture->frozen = panel->level[done] >> TEXTURE_FREEZE & 1u;
        if (texture->at == VK_HOP) {
            begin_hop(texture, panel);
        }
        work(texture, panel);
        size_t count = until_due(texture);
        count = count < ticks - done ? count : ticks - done;
        if (spec->ear != NULL) {
            const size_t due = listen(texture, panel);
            count = count < due ? count : due;
        }
        const float *arrived = texture->arriving + texture->at;
        for (size_t i = done; i < done + count; ++i) {
            const float raw = block->audio_in != NULL ? block->audio_in[0][i] : 0.0f;
            const float in = audible(raw * slope_next(&gain));
            texture->arriving[texture->at] = in;
            texture->dry[texture->written % TEXTURE_DRY] = in;
            const float dry = texture->dry[(texture->written - spec->behind) % TEXTURE_DRY];
            ++texture->written;
            const float wet = spec->decoder != NULL ? bound_sound(texture->playing[texture->at], 4.0f) : dry;
            ++texture->at;
            out[i] = (dry + slope_next(&mix) * (wet - dry)) * slope_next(&level);
            block->gates_out[i] = pulse_next(&texture->onset) ? onset : 0u;
        }
        if (spec->ear != NULL) {
            listening_take(spec->listening, arrived, still, count);
        }
        done += count;
    }
    output_sound(&spec->outputs, out, block);
    for (uint8_t c = 0; c < spec->outputs.cvs; ++c) {
        const float volts = volts_of(texture, spec->outputs.cv[c]);
        for (size_t i = 0; i < ticks; ++i) {
            block->cv_out[c][i] = volts;
        }
    }
}
