/* A groove: the latent rhythm plays latent drums. */
#include "groove.h"

#define SOFTEST 0.25f /* level of a hit of velocity 0 */
#define NEAREST_HITS 96u

void groove_init(Groove *groove, const GrooveSpec *spec) {
    groove->spec = spec;
    rhythm_init(&groove->rhythm, &spec->rhythm);
    evaluation_init(&groove->evaluation, spec->drum, spec->state);
    groove->asked = (uint8_t)(spec->voices - 1u);
    groove->spare = &spec->set[spec->voices];
    for (uint8_t v = 0; v < spec->voices; ++v) {
        groove->tone[v].started = false;
        groove->set[v] = &spec->set[v];
        groove->set[v]->ready = false;
    }
    for (uint8_t p = 0; p < spec->players; ++p) {
        voice_init(&groove->player[p].voice, spec->drum->sound);
        groove->player[p].plays = p;
    }
}

void groove_reset(Groove *groove) {
    rhythm_reset(&groove->rhythm);
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        voice_reset(&groove->player[p].voice);
    }
}

/* The player that sounds this voice already, else an idle one, else the one struck longest ago. */
static GroovePlayer *player_for(Groove *groove, uint8_t v) {
    GroovePlayer *oldest = &groove->player[0];
    GroovePlayer *idle = NULL;
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        GroovePlayer *player = &groove->player[p];
        if (!player->voice.active) {
            idle = player;
        } else if (player->plays == v) {
            return player;
        }
        if (player->voice.age_ticks > oldest->voice.age_ticks) {
            oldest = player;
        }
    }
    return idle != NULL ? idle : oldest;
}

/* Asks the drum model for the next voice, as the panel says at sample `at` of the block. */
static void ask(Groove *groove, const Panel *panel, size_t at) {
    float latent[TONE_LATENTS], knob[TONE_KNOBS];
    groove->asked = (uint8_t)((groove->asked + 1u) % groove->spec->voices);
    tone_at(&groove->tone[groove->asked], &groove->spec->voice[groove->asked].tone, (float)at / (float)panel->ticks,
            latent, knob);
    evaluation_begin(&groove->evaluation, latent, knob, groove->spare, EVALUATION_TICKS);
}

/* A new set: what sounds goes on with it; the very first hits have waited for it. */
static void take_set(Groove *groove) {
    HitSet **set = &groove->set[groove->asked], *old = *set;
    *set = groove->spare;
    groove->spare = old;
    evaluation_stroke(&groove->evaluation);
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        GroovePlayer *player = &groove->player[p];
        if (player->voice.active && player->voice.waiting && player->plays == groove->asked) {
            voice_start(&player->voice, *set);
        }
    }
}

static void render_player(Groove *groove, const Panel *panel, GroovePlayer *player, size_t end) {
    const GrooveVoice *spec = &groove->spec->voice[player->plays];
    const size_t start = groove->mixed;
    if (!player->voice.active) {
        return;
    }
    for (size_t i = start; i < end; ++i) {
        groove->mono[i] = 0.0f;
    }
    voice_render(&player->voice, groove->set[player->plays], panel_value(panel, (uint8_t)spec->decay),
                 groove->mono + start, end - start);
    Slope level = panel_slope(panel, (uint8_t)spec->level, start);
    for (size_t i = start; i < end; ++i) {
        const float y = groove->mono[i] * slope_next(&level);
        groove->mix[0][i] += y * spec->left;
        groove->mix[1][i] += y * spec->right;
    }
}

/* Sound and the model's work up to sample `end` of the block. */
static void advance(Groove *groove, const Panel *panel, size_t end) {
    while (groove->mixed < end) {
        if (evaluation_left(&groove->evaluation) == 0) {
            ask(groove, panel, groove->mixed);
        }
        const size_t rest = end - groove->mixed, left = evaluation_left(&groove->evaluation);
        const size_t ticks = rest < left ? rest : left;
        for (uint8_t p = 0; p < groove->spec->players; ++p) {
            render_player(groove, panel, &groove->player[p], groove->mixed + ticks);
        }
        groove->mixed += ticks;
        if (evaluation_advance(&groove->evaluation, (uint32_t)ticks)) {
            take_set(groove);
        }
    }
}

static void strike(Groove *groove, const Panel *panel, uint8_t v, float velocity, size_t at) {
    const GrooveVoice *spec = &groove->spec->voice[v];
    advance(groove, panel, at);
    GroovePlayer *player = player_for(groove, v);
    if (player->voice.active && player->voice.age_ticks < NEAREST_HITS) {
        return;
    }
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        GroovePlayer *other = &groove->player[p];
        if (spec->chokes >> other->plays & 1u) {
            voice_choke(&other->voice);
        }
    }
    player->plays = v;
    voice_trigger(&player->voice, SOFTEST + (1.0f - SOFTEST) * velocity);
    if (groove->set[v]->ready) {
        voice_start(&player->voice, groove->set[v]);
    }
}

void groove_render(Groove *groove, const Panel *panel, const PortBlock *block) {
    const GrooveSpec *spec = groove->spec;
    const OutputSpec *outputs = &spec->rhythm.outputs;
    rhythm_advance(&groove->rhythm, panel, block->ticks);
    rhythm_outputs(&groove->rhythm, outputs, block);
    for (size_t i = 0; i < block->ticks; ++i) {
        groove->mix[0][i] = 0.0f;
        groove->mix[1][i] = 0.0f;
    }
    groove->mixed = 0;
    for (uint8_t v = 0; v < spec->voices; ++v) {
        tone_update(&groove->tone[v], &spec->voice[v].tone, panel);
    }
    for (uint8_t v = 0; v < spec->voices; ++v) {
        if (panel->remote_voices >> v & 1u) {
            strike(groove, panel, v, panel->remote_accent, 0);
        }
    }
    for (size_t h = 0; h < groove->rhythm.hits; ++h) {
        const Hit *hit = &groove->rhythm.hit[h];
        for (uint8_t v = 0; v < spec->voices; ++v) {
            if (spec->voice[v].plays >> hit->voice & 1u) {
                strike(groove, panel, v, hit->velocity, hit->at);
            }
        }
    }
    advance(groove, panel, panel->ticks);
    for (uint8_t c = 0; c < outputs->audios; ++c) {
        const int8_t source = outputs->audio[c];
        Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
        for (size_t i = 0; i < block->ticks; ++i) {
            block->audio_out[c][i] = source >= 0 ? audible(groove->mix[source][i] * slope_next(&level)) : 0.0f;
        }
    }
}
