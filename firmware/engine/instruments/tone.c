/* What a drum model is told: latents, class and attributes. */
#include "tone.h"

#include "../control/bound.h"
#include "../control/table.h"

#define PLATEAU 0.35f /* of the way from class to class: on either side of it nothing is blended */

/* One class at a time over most of the travel, a blend between: models are trained on both. */
static void blend_classes(const ToneSpec *spec, float position, float *knob) {
    const float x = bound_unit(position) * (float)(spec->classes - 1u);
    uint8_t lower = (uint8_t)x;
    if (lower + 1u >= spec->classes) {
        lower = (uint8_t)(spec->classes - 1u);
    }
    const float next = bound_unit((x - (float)lower - PLATEAU) / (1.0f - 2.0f * PLATEAU));
    for (uint8_t i = 0; i < spec->classes; ++i) {
        knob[spec->first_class + i] = 0.0f;
    }
    knob[spec->first_class + lower] = 1.0f - next;
    if (lower + 1u < spec->classes) {
        knob[spec->first_class + lower + 1u] = next;
    }
}

static void set(Ramp *ramp, float value, bool started) {
    if (started) {
        ramp_next(ramp, value);
    } else {
        ramp_reset(ramp, value);
    }
}

void tone_update(Tone *tone, const ToneSpec *spec, const Panel *panel) {
    float value[TONE_LATENTS];
    if (spec->plane != NULL) {
        table_map(spec->plane->grid, spec->plane->size, spec->latents, panel_position(panel, (uint8_t)spec->plane->x),
                  panel_position(panel, (uint8_t)spec->plane->y), value);
    } else {
        for (uint8_t i = 0; i < spec->latents; ++i) {
            value[i] = spec->latent_rest[i];
        }
    }
    for (uint8_t i = 0; i < spec->latents; ++i) {
        if (spec->latent[i] >= 0) {
            value[i] = panel_value(panel, (uint8_t)spec->latent[i]);
        }
    }
    float knob[TONE_KNOBS];
    for (uint8_t i = 0; i < spec->knobs; ++i) {
        knob[i] = spec->knob[i] >= 0 ? panel_value(panel, (uint8_t)spec->knob[i]) : spec->knob_rest[i];
    }
    if (spec->class_parameter >= 0) {
        blend_classes(spec, panel_position(panel, (uint8_t)spec->class_parameter), knob);
    }
    bool jumps = !tone->started;
    if (spec->layer != NULL) {
        jumps |= spec->layer->process(&spec->memory, spec->layer, panel, panel->ticks, value, knob);
    }
    for (uint8_t i = 0; i < spec->latents; ++i) {
        set(&tone->latent[i], value[i], !jumps);
    }
    for (uint8_t i = 0; i < spec->knobs; ++i) {
        set(&tone->knob[i], knob[i], !jumps);
    }
    tone->started = true;
}

void tone_at(const Tone *tone, const ToneSpec *spec, float share, float *latent, float *knob) {
    for (uint8_t i = 0; i < spec->latents; ++i) {
        latent[i] = ramp_at(&tone->latent[i], share);
    }
    for (uint8_t i = 0; i < spec->knobs; ++i) {
        knob[i] = ramp_at(&tone->knob[i], share);
    }
}
