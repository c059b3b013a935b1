/* A beep: a sine whose pitch and level are controls, and a gate that silences it. */
#include "beep.h"

#define MUTE_STEP (1.0f / 480.0f) /* 10 ms: a switch without a click */
#define LOUDEST 0.95f             /* the oscillator swings a little over 1, and full scale clips */
#define LEVEL_VOLTS 5.0f

void beep_init(Beep *beep, const BeepSpec *spec) {
    beep->spec = spec;
    beep_reset(beep);
}

void beep_reset(Beep *beep) {
    beep->sine = 0.0f;
    beep->cosine = 1.0f;
    beep->open = 1.0f;
}

void beep_render(Beep *beep, const Panel *panel, const PortBlock *block) {
    const OutputSpec *outputs = &beep->spec->outputs;
    const uint32_t high = output_gates(outputs, 1u << BEEP_OUT_OPEN);
    Slope turn = panel_slope(panel, (uint8_t)beep->spec->pitch, 0);
    Slope level = panel_slope(panel, (uint8_t)beep->spec->level, 0);
    for (size_t i = 0; i < block->ticks; ++i) {
        const bool muted = panel->level[i] >> BEEP_MUTE & 1u;
        beep->open = bound_unit(beep->open + (muted ? -MUTE_STEP : MUTE_STEP));
        const float step = slope_next(&turn);
        beep->sine += step * beep->cosine;
        beep->cosine -= step * beep->sine;
        const float now = beep->open * slope_next(&level);
        const float sound = audible(LOUDEST * now * beep->sine);
        for (uint8_t c = 0; c < outputs->audios; ++c) {
            block->audio_out[c][i] = outputs->audio[c] >= 0 ? sound : 0.0f;
        }
        for (uint8_t c = 0; c < outputs->cvs; ++c) {
            block->cv_out[c][i] = outputs->cv[c] == BEEP_OUT_LEVEL ? LEVEL_VOLTS * now : 0.0f;
        }
        block->gates_out[i] = muted ? 0u : high;
    }
}
