/* A groove: the latent rhythm plays latent drums. */
#include "groove.h"

#define SOFTEST 0.25f /* level of a hit of velocity 0 */
#define NEAREST_HITS 96u

void groove_init(Groove *groove, const GrooveSpec *spec) {
    groove->spec = spec;
    rhythm_init(&groove->rhythm, &spec->rhythm);
    for (uint8_t v = 0; v < spec->voices; ++v) {
        groove->tone[v].started = false;
    }
    for (uint8_t p = 0; p < spec->players; ++p) {
        voice_init(&groove->player[p].voice, spec->drum, spec->state[p]);
        groove->player[p].plays = p;
    }
}

void groove_reset(Groove *groove) {
    rhythm_reset(&groove->rhythm);
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        voice_reset(&groove->player[p].voice);
    }
}

/* Samples since a player was struck, at sample `at` of this block. */
static size_t age_of(const GroovePlayer *player, size_t at) {
    const Voice *voice = &player->voice;
    return voice->age_ticks + (voice->model->hop - voice->wait_ticks) + (at - voice->rendered);
}

/* The player that sounds this voice already, else an idle one, else the one struck longest ago. */
static GroovePlayer *player_for(Groove *groove, uint8_t v, size_t at) {
    GroovePlayer *oldest = &groove->player[0];
    GroovePlayer *idle = NULL;
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        GroovePlayer *player = &groove->player[p];
        if (!player->voice.active) {
            idle = player;
        } else if (player->plays == v) {
            return player;
        }
        if (age_of(player, at) > age_of(oldest, at)) {
            oldest = player;
        }
    }
    return idle != NULL ? idle : oldest;
}

/* A player's sound up to `end`. Only what strikes or chokes it cuts its block in two: every call of a model costs. */
static void render_player(Groove *groove, const Panel *panel, GroovePlayer *player, size_t end) {
    const size_t start = player->voice.rendered;
    const GrooveVoice *spec = &groove->spec->voice[player->plays];
    const VoicePlace place = {.frames = &groove->frames, .out = groove->mono, .ticks = panel->ticks};
    const float decay = panel_value(panel, (uint8_t)spec->decay);
    const bool sounds = player->voice.active;
    for (size_t i = start; i < end && sounds; ++i) {
        groove->mono[i] = 0.0f;
    }
    voice_render(&player->voice, &spec->tone, &groove->tone[player->plays], decay, place, end);
    if (!sounds) {
        return;
    }
    Slope level = panel_slope(panel, (uint8_t)spec->level, start);
    for (size_t i = start; i < end; ++i) {
        const float y = groove->mono[i] * slope_next(&level);
        groove->mix[0][i] += y * spec->left;
        groove->mix[1][i] += y * spec->right;
    }
}

static void strike(Groove *groove, const Panel *panel, uint8_t v, float velocity, size_t at) {
    const GrooveVoice *spec = &groove->spec->voice[v];
    GroovePlayer *player = player_for(groove, v, at);
    if (player->voice.active && age_of(player, at) < NEAREST_HITS) {
        return;
    }
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        GroovePlayer *other = &groove->player[p];
        if (spec->chokes >> other->plays & 1u) {
            render_player(groove, panel, other, at);
            voice_choke(&other->voice);
        }
    }
    render_player(groove, panel, player, at);
    player->plays = v;
    voice_trigger(&player->voice, SOFTEST + (1.0f - SOFTEST) * velocity);
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
    for (uint8_t p = 0; p < spec->players; ++p) {
        render_player(groove, panel, &groove->player[p], panel->ticks);
    }
    for (uint8_t c = 0; c < outputs->audios; ++c) {
        const int8_t source = outputs->audio[c];
        Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
        for (size_t i = 0; i < block->ticks; ++i) {
            block->audio_out[c][i] = source >= 0 ? audible(groove->mix[source][i] * slope_next(&level)) : 0.0f;
        }
    }
}
