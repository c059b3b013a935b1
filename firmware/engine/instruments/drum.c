/* A latent drum: one trigger, one sound, every knob a direction in what the model has learnt. */
#include "drum.h"

#include "../kernels/memory.h"

#define NEAREST_HITS EVALUATION_TICKS /* hits nearer than that are one, so every hit gets its set */
#define SOFTEST 0.4f                  /* level of a hit without accent */
#define FOLLOW_KEEP 0.99917f          /* of the envelope per sample: 25 ms */
#define FOLLOW_SILENT 1e-6f

void drum_init(Drum *drum, const DrumSpec *spec) {
    drum->spec = spec;
    drum->tone.started = false;
    evaluation_init(&drum->evaluation, spec->model, spec->state);
    for (uint8_t v = 0; v < spec->voices; ++v) {
        voice_init(&spec->voice[v], spec->model->sound);
    }
    drum_reset(drum);
}

void drum_reset(Drum *drum) {
    const DrumSpec *spec = drum->spec;
    for (uint8_t v = 0; v < spec->voices; ++v) {
        voice_reset(&spec->voice[v]);
    }
    drum->turn = 0;
    drum->since_hit = NEAREST_HITS;
    drum->pulse = 0;
    drum->follow = 0.0f;
}

/* Asks the model for what the panel says at sample `at` of the block. */
static void ask(Drum *drum, const Panel *panel, size_t at, uint32_t ticks) {
    float latent[TONE_LATENTS], knob[TONE_KNOBS];
    tone_at(&drum->tone, &drum->spec->tone, (float)at / (float)panel->ticks, latent, knob);
    evaluation_begin(&drum->evaluation, latent, knob, &drum->set[drum->current ^ 1u], ticks);
}

/* A new set: what sounds goes on with it, and what waits begins. */
static void take_set(Drum *drum) {
    const DrumSpec *spec = drum->spec;
    drum->current ^= 1u;
    for (uint8_t v = 0; v < spec->voices; ++v) {
        if (spec->voice[v].active && spec->voice[v].waiting) {
            evaluation_stroke(&drum->evaluation);
            voice_start(&spec->voice[v], &drum->set[drum->current]);
        }
    }
}

/* Sound and the model's work up to sample `end` of the block. */
static void advance(Drum *drum, const Panel *panel, size_t end) {
    const DrumSpec *spec = drum->spec;
    const float decay = panel_value(panel, (uint8_t)spec->decay);
    while (drum->mixed < end) {
        if (evaluation_left(&drum->evaluation) == 0) {
            ask(drum, panel, drum->mixed, RESTING_TICKS);
        }
        const size_t rest = end - drum->mixed, left = evaluation_left(&drum->evaluation);
        const size_t ticks = rest < left ? rest : left;
        for (uint8_t v = 0; v < spec->voices; ++v) {
            voice_render(&spec->voice[v], &drum->set[drum->current], decay, drum->mix + drum->mixed, ticks);
        }
        drum->mixed += ticks;
        if (evaluation_advance(&drum->evaluation, (uint32_t)ticks)) {
            take_set(drum);
        }
    }
}

static void choke_all(Drum *drum, const Panel *panel, size_t at) {
    const DrumSpec *spec = drum->spec;
    advance(drum, panel, at);
    for (uint8_t v = 0; v < spec->voices; ++v) {
        voice_choke(&spec->voice[v]);
    }
}

static void hit(Drum *drum, const Panel *panel, uint32_t level, size_t at, bool choked) {
    const DrumSpec *spec = drum->spec;
    Voice *voice = &spec->voice[drum->turn];
    float accent = panel_value(panel, (uint8_t)spec->accent);
    if (level >> DRUM_ACCENT & 1u) {
        accent = 1.0f;
    }
    if (panel->remote_accent >= 0.0f && panel->remote_voices != 0) {
        accent = panel->remote_accent;
    }
    advance(drum, panel, at);
    if (spec->cut || choked) {
        choke_all(drum, panel, at);
    }
    voice_trigger(voice, SOFTEST + (1.0f - SOFTEST) * accent);
    ask(drum, panel, at, EVALUATION_TICKS);
    drum->turn = (uint8_t)((drum->turn + 1u) % spec->voices);
    drum->since_hit = 0;
    drum->pulse = PULSE_TICKS;
}

/* Every jack that carries the sound carries the same. */
static void write_sound(const Drum *drum, const Panel *panel, const PortBlock *block) {
    const DrumSpec *spec = drum->spec;
    const float *first = NULL;
    for (uint8_t c = 0; c < spec->outputs.audios; ++c) {
        float *out = block->audio_out[c];
        if (spec->outputs.audio[c] < 0) {
            memset(out, 0, block->ticks * sizeof *out);
        } else if (first != NULL) {
            memcpy(out, first, block->ticks * sizeof *out);
        } else {
            Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
            for (size_t i = 0; i < block->ticks; ++i) {
                out[i] = audible(drum->mix[i] * slope_next(&level));
            }
            first = out;
        }
    }
}

/* What was mixed has been played: now it becomes its envelope, up at once and down with 25 ms. */
static void write_envelope(Drum *drum, const PortBlock *block) {
    const OutputSpec *outputs = &drum->spec->outputs;
    float follow = drum->follow;
    for (size_t i = 0; i < block->ticks; ++i) {
        const float now = magnitude(drum->mix[i]);
        const float falling = follow > FOLLOW_SILENT ? follow * FOLLOW_KEEP : 0.0f;
        follow = now > falling ? now : falling;
        drum->mix[i] = follow;
    }
    drum->follow = follow;
    for (uint8_t c = 0; c < outputs->cvs; ++c) {
        if (outputs->cv[c] != DRUM_OUT_ENVELOPE) {
            memset(block->cv_out[c], 0, block->ticks * sizeof(float));
            continue;
        }
        for (size_t i = 0; i < block->ticks; ++i) {
            block->cv_out[c][i] = 5.0f * bound_sound(drum->mix[i], 1.0f);
        }
    }
}

void drum_render(Drum *drum, const Panel *panel, const PortBlock *block) {
    const DrumSpec *spec = drum->spec;
    const size_t ticks = block->ticks;
    const uint32_t high = output_gates(&spec->outputs, 1u << DRUM_OUT_TRIGGER);
    tone_update(&drum->tone, &spec->tone, panel);
    for (size_t i = 0; i < ticks; ++i) {
        drum->mix[i] = 0.0f;
    }
    drum->mixed = 0;
    for (size_t i = 0; i < ticks; ++i) {
        const uint32_t rise = panel->rise[i];
        const bool struck = (rise >> DRUM_TRIGGER & 1u) || (i == 0 && panel->remote_voices != 0);
        const bool choked = rise >> DRUM_CHOKE & 1u;
        if (struck && drum->since_hit >= NEAREST_HITS) {
            hit(drum, panel, panel->level[i], i, choked);
        } else if (choked) {
            choke_all(drum, panel, i);
        }
        drum->since_hit += drum->since_hit < NEAREST_HITS;
        block->gates_out[i] = pulse_next(&drum->pulse) ? high : 0u;
    }
    advance(drum, panel, ticks);
    write_sound(drum, panel, block);
    write_envelope(drum, block);
}
