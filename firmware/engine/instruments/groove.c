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
        voice_init(&groove->voice[v], spec->drum, spec->voice[v].state);
    }
}

void groove_reset(Groove *groove)
{
    rhythm_reset(&groove->rhythm);
    for (uint8_t v = 0; v < groove->spec->voices; ++v) {
        voice_reset(&groove->voice[v]);
    }
}

static void strike(Groove *groove, uint8_t v, float velocity)
{
    const GrooveVoice *spec = &groove->spec->voice[v];
    for (uint8_t w = 0; w < groove->spec->voices; ++w) {
        if (w != v && (spec->chokes >> w & 1u)) {
            voice_choke(&groove->voice[w]);
        }
    }
    voice_trigger(&groove->voice[v], SOFTEST + (1.0f - SOFTEST) * velocity);
}

static void render_voice_span(Groove *groove, const Panel *panel, uint8_t v, size_t start, size_t end)
{
    const GrooveVoice *spec = &groove->spec->voice[v];
    voice_render(&groove->voice[v], &spec->tone, &groove->tone[v], panel_value(panel, (uint8_t)spec->decay),
                 &groove->frames, start, end - start, panel->ticks, groove->mono + start);
}

static bool struck_by(const GrooveVoice *spec, uint8_t rhythm_voice)
{
    return spec->plays >> rhythm_voice & 1u;
}

/* One voice, whole block, cut at its hits. */
static void render_voice(Groove *groove, const Panel *panel, uint8_t v)
{
    const GrooveVoice *spec = &groove->spec->voice[v];
    const Rhythm *rhythm = &groove->rhythm;
    const size_t ticks = panel->ticks;
    size_t rendered = 0;
    for (size_t i = 0; i < ticks; ++i) {
        groove->mono[i] = 0.0f;
    }
    if (panel->remote_voices >> v & 1u) {
        strike(groove, v, panel->remote_accent);
    }
    for (size_t h = 0; h < rhythm->hits; ++h) {
        const Hit *hit = &rhythm->hit[h];
        const bool near = groove->voice[v].active && hit->at - rendered + groove->voice[v].age_ticks < NEAREST_HITS;
        if (struck_by(spec, hit->voice) && !near) {
            render_voice_span(groove, panel, v, rendered, hit->at);
            rendered = hit->at;
            strike(groove, v, hit->velocity);
        }
    }
    render_voice_span(groove, panel, v, rendered, ticks);
    for (size_t i = 0; i < ticks; ++i) {
        const float y = groove->mono[i] * panel_at(panel, (uint8_t)spec->level, i);
        groove->mix[0][i] += y * spec->left;
        groove->mix[1][i] += y * spec->right;
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
        render_voice(groove, panel, v);
    }
    for (uint8_t c = 0; c < outputs->audios; ++c) {
        const int8_t source = outputs->audio[c];
        for (size_t i = 0; i < block->ticks; ++i) {
            const float level = panel_at(panel, (uint8_t)spec->level, i);
            block->audio_out[c][i] = source >= 0 ? audible(groove->mix[source][i] * level) : 0.0f;
        }
    }
}
