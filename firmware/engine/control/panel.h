/* The panel: readings become volts, volts become positions, positions become latents; gates become edges.
 *
 * One panel per image. Its tables (what is patched to what) are generated from the instrument file and the board.
 * position = law(knob + attenuverter · CV), clamped, smoothed; value = table(position). A parameter is read by the
 * instrument as a ramp over the block.
 */
#ifndef VAECTROL_CONTROL_PANEL_H
#define VAECTROL_CONTROL_PANEL_H

#include "../port.h"
#include "calibration.h"
#include "macro.h"
#include "ramp.h"
#include "schmitt.h"
#include "smoother.h"
#include "takeover.h"
#include "trims.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PANEL_PRESETS 8u
#define PANEL_QUEUE 16u /* a power of two */

/* One converter input of the board. */
typedef struct InputSpec {
    float volts_at_zero, volts_at_one; /* nominal, at code 0 and full code */
    float travel_low, travel_high;     /* volts at the ends of a pot's travel */
} InputSpec;

typedef struct ParameterSpec {
    int8_t knob, cv, depth; /* inputs; depth: the knob that is this parameter's attenuverter; -1: none */
    uint8_t law;
    float attenuverter;    /* -1 … 1, where no knob sets it */
    float travel_per_volt; /* 1 / the CV's range */
    float rest;            /* position where there is no knob */
    float smoothing, band;
    const float *table; /* [points] */
    uint16_t points;
} ParameterSpec;

/* Where a gate function (trigger, clock, freeze …) listens; any of them raises it. */
typedef struct GateSpec {
    uint32_t gates;    /* gate bits */
    uint32_t inverted; /* those of them that raise it while they are low */
    int8_t cv, audio;  /* input and audio channel; -1: none */
} GateSpec;

typedef struct PanelSpec {
    uint32_t board_hash, instrument_hash; /* what stored calibration and presets belong to */
    uint8_t inputs, outputs, parameters, gates;
    float audio_volts; /* at ±1 */
    const InputSpec *input;
    const OutputRange *output; /* CV outputs */
    const ParameterSpec *parameter;
    const GateSpec *gate;
    const MacroSpec *macro; /* NULL: none */
} PanelSpec;

typedef struct Parameter {
    Takeover takeover;
    Smoother smoother;
    float base; /* what a preset stores: the knob's place, or the remote's */
    float position;
    Ramp value;
} Parameter;

typedef struct PresetBank {
    uint32_t used; /* bit n: preset n holds something */
    uint16_t position[PANEL_PRESETS][PORT_MAX_PARAMETERS];
} PresetBank;

typedef struct Panel {
    const PanelSpec *spec;
    Calibration calibration[PORT_MAX_INPUTS];
    float volts[PORT_MAX_INPUTS];
    Trims trims;
    Parameter parameter[PORT_MAX_PARAMETERS];
    bool started;   /* the first block has set every parameter without a ramp */
    size_t ticks;   /* of this block */
    float per_tick; /* 1 / ticks */
    float travel_gain[PORT_MAX_INPUTS], travel_offset[PORT_MAX_INPUTS]; /* volts to a knob's position */

    /* Gate functions, bit f: level and rising edge in each sample of this block. */
    uint32_t level[PORT_MAX_BLOCK];
    uint32_t rise[PORT_MAX_BLOCK];
    uint32_t risen; /* in any of them */
    uint32_t last_level;
    uint32_t remote_held, remote_pulse;
    Schmitt cv_schmitt[PORT_MAX_GATES], audio_schmitt[PORT_MAX_GATES];
    uint32_t edges[PORT_MAX_GATES];
    float remote_accent; /* of the last PORT_TRIGGER; negative: none in this block */
    uint32_t remote_voices;
    bool remote_clock, remote_reset;

    PresetBank presets;
    Macro macro;
    uint8_t preset;
    uint32_t gates_out, blocks;

    /* Hand-over from the main loop. */
    PortCommand queue[PANEL_QUEUE];
    uint32_t posted, taken;
    Calibration staged;
    uint8_t staged_jack;
    bool staged_full, loaded;
    bool calibration_unsaved, presets_unsaved;

    /* Models that presets name: 0, or 1 + a slot. */
    uint8_t preset_model[PANEL_PRESETS];
    uint8_t asked_model;    /* of a preset that was recalled, until the main loop has seen to it */
    const char *model_note; /* why the model that the last preset names does not play; NULL: it does */
    uint8_t spare[20];      /* what lies behind keeps its place in lines of 32 bytes, and its cycles */
} Panel;

void panel_init(Panel *panel, const PanelSpec *spec);
/* After it, where the spec has a macro: memory for what that learns. */
void panel_macro(Panel *panel, MacroBank *bank);

/* Everything that comes in, at the start of a block. */
void panel_begin(Panel *panel, const PortBlock *block);
/* Between them: a gate function rises at a sample of this block, as if its jack had. */
void panel_raise(Panel *panel, uint8_t function, size_t at);
/* At its end: what the CV jacks are to have, and what a monitor shows. */
void panel_end(Panel *panel, const PortBlock *block);

/* Value of a parameter: sample by sample from `done` on; at the block's end. */
static inline Slope panel_slope(const Panel *panel, uint8_t parameter, size_t done) {
    return ramp_slope(&panel->parameter[parameter].value, panel->per_tick, done);
}

static inline float panel_value(const Panel *panel, uint8_t parameter) { return panel->parameter[parameter].value.to; }

static inline float panel_position(const Panel *panel, uint8_t parameter) {
    return panel->parameter[parameter].position;
}

/* What port.h promises, on this panel. */
bool panel_post(Panel *panel, PortCommand command);
void panel_report(const Panel *panel, PortReport *report);
const char *panel_calibrate(Panel *panel, uint8_t jack, uint8_t points, const float *codes, const float *volts);
uint8_t panel_calibration(const Panel *panel, uint8_t jack, float *codes, float *volts);
const char *panel_idle(Panel *panel, const PortStorage *storage);

#ifdef __cplusplus
}
#endif
#endif
