/* A groove: the latent rhythm plays latent drums. */
#include "groove.h"

#define SOFTEST 0.25f /* level of a hit of velocity 0 */
#define NEAREST_HITS 96u

void groove_init(Groove *groove, const GrooveSpec *spec)
{
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

void groove_reset(Groove *groove)
{
    rhythm_reset(&groove->rhythm);
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        voice_reset(&groove->player[p].voice);
    }
}

/* The player that sounds this voice already, else an idle one, else the one struck longest ago. */
static GroovePlayer *player_for(Groove *groove, uint8_t v)
{
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

static void strike(Groove *groove, uint8_t v, float velocity)
{
    const GrooveVoice *spec = &groove->spec->voice[v];
    GroovePlayer *player = player_for(groove, v);
    if (player->voice.active && player->voice.age_ticks < NEAREST_HITS) {
        return;
    }
    for (uint8_t p = 0; p < groove->spec->players; ++p) {
        if (spec->chokes >> groove->player[p].plays & 1u) {
            voice_choke(&groove->player[p].voice);
        }
    }
    player->plays = v;
    voice_trigger(&player->voice, SOFTEST + (1.0f - SOFTEST) * velocity);
}

static void render_span(Groove *groove, const Panel *panel, size_t start, size_t end)
{
    for (uint8_t p = 0; p < groove->spec->players && start < end; ++p) {
        GroovePlayer *player = &groove->player[p];
        const GrooveVoice *spec = &groove->spec->voice[player->plays];
        if (!player->voice.active) {
            continue;
        }
        for (size_t i = start; i < end; ++i) {
            groove->mono[i] = 0.0f;
        }
        voice_render(&player->voice, &spec->tone, &groove->tone[player->plays],
                     panel_value(panel, (uint8_t)spec->decay), &groove->frames, start, end - start, panel->ticks,
                     groove->mono + start);
        Slope level = panel_slope(panel, (uint8_t)spec->level, start);
        for (size_t i = start; i < end; ++i) {
            const float y = groove->mono[i] * slope_next(&level);
            groove->mix[0][i] += y * spec->left;
            groove->mix[1][i] += y * spec->right;
        }
    }
}

void groove_render(Groove *groove, const Panel *panel, const PortBlock *block)
{
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
            strike(groove, v, panel->remote_accent);
        }
    }
    size_t rendered = 0;
    for (size_t h = 0; h < groove->rhythm.hits; ++h) {
        const Hit *hit = &groove->rhythm.hit[h];
        render_span(groove, panel, rendered, hit->at);
        rendered = hit->at;
        for (uint8_t v = 0; v < spec->voices; ++v) {
            if (spec->voice[v].plays >> hit->voice & 1u) {
                strike(groove, v, hit->velocity);
            }
        }
    }
    render_span(groove, panel, rendered, panel->ticks);
    for (uint8_t c = 0; c < outputs->audios; ++c) {
        const int8_t source = outputs->audio[c];
        Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
        for (size_t i = 0; i < block->ticks; ++i) {
            block->audio_out[c][i] = source >= 0 ? audible(groove->mix[source][i] * slope_next(&level)) : 0.0f;
        }
    }
}
