/* The panel: readings become volts, volts become positions, positions become latents; gates become edges. */
#include "panel.h"

#include "bound.h"
#include "law.h"
#include "store.h"
#include "table.h"

#define KNOB_MARGIN 0.005f /* of travel lost at each end, so that a pot of 1 % reaches both ends */
#define DETENT 0.04f       /* of ±1: an attenuverter knob near its middle is off */
#define TICKS_PER_RUN 48u  /* the smoother runs once per millisecond */
#define STORED_VERSION 1u

static const char model_waits[] = "it is on its way";
static const char not_recalled[] = "the preset was saved, and not recalled yet";

static const StorePlace calibration_place = {.address = 0, .sectors = 1, .kind = 1, .version = STORED_VERSION};
static const StorePlace preset_place = {
    .address = 2u * PORT_SECTOR_BYTES, .sectors = 1, .kind = 2, .version = STORED_VERSION};

typedef struct StoredCalibration {
    uint32_t board_hash;
    Calibration calibration[PORT_MAX_INPUTS];
    uint32_t outputs; /* bit o: output o has points; programs before wrote of inputs alone */
    Calibration output[PORT_MAX_CV_OUTS];
} StoredCalibration;

typedef struct StoredPresets {
    uint32_t instrument_hash;
    PresetBank bank;
    MacroBank macro;              /* zero where there is none */
    uint8_t model[PANEL_PRESETS]; /* programs before knew of no models */
} StoredPresets;

/* On the main loop's stack while it reads or writes. */
typedef union Stored {
    StoredCalibration calibration;
    StoredPresets presets;
} Stored;

_Static_assert(sizeof(StoredCalibration) <= STORE_PAYLOAD_BYTES, "the calibration fits a sector");
_Static_assert(sizeof(StoredPresets) <= STORE_PAYLOAD_BYTES, "the presets fit a sector");

static float knob_position(const Panel *panel, int8_t input) {
    return bound_unit(panel->volts[input] * panel->travel_gain[input] + panel->travel_offset[input]);
}

static float attenuverter(const Panel *panel, const ParameterSpec *spec) {
    if (spec->depth < 0) {
        return spec->attenuverter;
    }
    const float turn = 2.0f * knob_position(panel, spec->depth) - 1.0f;
    if (magnitude(turn) < DETENT) {
        return 0.0f;
    }
    return (turn < 0.0f ? turn + DETENT : turn - DETENT) / (1.0f - DETENT);
}

static float knob_of(const Panel *panel, uint8_t index) {
    const int8_t knob = panel->spec->parameter[index].knob;
    return knob < 0 ? panel->parameter[index].base : knob_position(panel, knob);
}

static void store_base(Panel *panel, uint8_t index, float position) {
    Parameter *parameter = &panel->parameter[index];
    parameter->base = bound_unit(position);
    if (panel->spec->parameter[index].knob >= 0) {
        takeover_store(&parameter->takeover, parameter->base, knob_of(panel, index));
    }
}

void panel_init(Panel *panel, const PanelSpec *spec) {
    *panel = (Panel){.spec = spec, .preset = 255, .remote_accent = -1.0f, .macro = {.applied = -1.0f}};
    for (uint8_t i = 0; i < spec->inputs; ++i) {
        const InputSpec *input = &spec->input[i];
        calibration_nominal(&panel->calibration[i], input->volts_at_zero, input->volts_at_one);
        panel->travel_gain[i] = 1.0f / ((input->travel_high - input->travel_low) * (1.0f - 2.0f * KNOB_MARGIN));
        panel->travel_offset[i] = -input->travel_low * panel->travel_gain[i] -
                                  KNOB_MARGIN / (1.0f - 2.0f * KNOB_MARGIN);
    }
    for (uint8_t i = 0; i < spec->parameters; ++i) {
        panel->parameter[i].base = spec->parameter[i].rest;
    }
}

/* Where all parameters stand, as it is stored. */
static void write_down(const Panel *panel, uint16_t *position) {
    for (uint8_t i = 0; i < panel->spec->parameters; ++i) {
        position[i] = (uint16_t)(panel->parameter[i].base * 65535.0f + 0.5f);
    }
}

void panel_macro(Panel *panel, MacroBank *bank) {
    *bank = (MacroBank){0};
    panel->macro.bank = bank;
}

/* Models that presets name: seldom, so apart from what runs in every block. `named`: 0, or 1 + a slot. */
__attribute__((noinline)) static void name_model(Panel *panel, uint8_t index, float named) {
    const bool names = named >= 1.0f && named <= (float)(PORT_MODEL_SLOTS + 1u);
    panel->preset_model[index] = names ? (uint8_t)named : 0;
    panel->model_note = names ? not_recalled : NULL;
}

__attribute__((noinline)) static void ask_model(Panel *panel, uint8_t named) {
    panel->model_note = named != 0 ? model_waits : NULL;
    if (named != 0) {
        __atomic_store_n(&panel->asked_model, named, __ATOMIC_RELEASE);
    }
}

static void preset_save(Panel *panel, uint8_t index, float named) {
    name_model(panel, index, named);
    write_down(panel, panel->presets.position[index]);
    panel->presets.used |= 1u << index;
    panel->presets_unsaved = true;
    panel->preset = index;
}

static bool is_macro(const Panel *panel, uint8_t parameter) {
    return panel->spec->macro != NULL && panel->spec->macro->parameter == parameter;
}

/* The macro itself stays where it is: moved, it would turn all others at once. */
static void preset_recall(Panel *panel, uint8_t index) {
    for (uint8_t i = 0; i < panel->spec->parameters; ++i) {
        if (!is_macro(panel, i)) {
            store_base(panel, i, (float)panel->presets.position[index][i] * (1.0f / 65535.0f));
        }
    }
    panel->preset = index;
    ask_model(panel, panel->preset_model[index]);
}

/* While its gate is high, knobs say what they say; when it falls that is learnt. Else all parameters follow the knob, whenever that is moved. */
static void run_macro(Panel *panel) {
    const MacroSpec *spec = panel->spec->macro;
    MacroBank *bank = panel->macro.bank;
    const float knob = panel->parameter[spec->parameter].position;
    const bool learned = panel->macro.learns;
    panel->macro.learns = panel->last_level >> spec->learn & 1u;
    if (learned && !panel->macro.learns) {
        const uint8_t anchor = macro_anchor(knob);
        write_down(panel, bank->position[anchor]);
        bank->used |= 1u << anchor;
        panel->presets_unsaved = true;
        panel->macro.applied = knob;
    }
    if (panel->macro.learns && !learned) {
        for (uint8_t i = 0; i < panel->spec->parameters; ++i) {
            panel->parameter[i].takeover.waiting = false;
        }
    }
    if (panel->macro.learns || !panel->started || !macro_ready(bank) ||
        magnitude(knob - panel->macro.applied) <= MACRO_MOVED) {
        return;
    }
    panel->macro.applied = knob;
    for (uint8_t i = 0; i < panel->spec->parameters; ++i) {
        if (!is_macro(panel, i)) {
            store_base(panel, i, macro_position(bank, i, knob));
        }
    }
}

static void obey(Panel *panel, PortCommand command) {
    switch (command.kind) {
    case PORT_SET:
        if (command.index < panel->spec->parameters) {
            store_base(panel, command.index, command.value);
        }
        break;
    case PORT_TRIGGER:
        panel->remote_voices |= 1u << (command.index & 31u);
        panel->remote_accent = bound_unit(command.value);
        break;
    case PORT_CLOCK: panel->remote_clock = true; break;
    case PORT_RESET_STEP: panel->remote_reset = true; break;
    case PORT_GATE:
        if (command.index < panel->spec->gates) {
            const uint32_t bit = 1u << command.index;
            panel->remote_held = command.value > 0.5f ? panel->remote_held | bit : panel->remote_held & ~bit;
        }
        break;
    case PORT_PRESET_RECALL:
        if (command.index < PANEL_PRESETS && (panel->presets.used >> command.index & 1u)) {
            preset_recall(panel, command.index);
        }
        break;
    case PORT_PRESET_SAVE:
        if (command.index < PANEL_PRESETS) {
            preset_save(panel, command.index, command.value);
        }
        break;
    case PORT_HOLD:
    case PORT_HOLD_RAW: trims_hold(&panel->trims, command.index, command.value, command.kind == PORT_HOLD_RAW); break;
    case PORT_RELEASE: trims_release(&panel->trims); break;
    default: break;
    }
}

static void take_commands(Panel *panel) {
    panel->remote_voices = 0;
    panel->remote_accent = -1.0f;
    panel->remote_clock = false;
    panel->remote_reset = false;
    const uint32_t posted = __atomic_load_n(&panel->posted, __ATOMIC_ACQUIRE);
    uint32_t taken = panel->taken;
    for (; taken != posted; ++taken) {
        obey(panel, panel->queue[taken % PANEL_QUEUE]);
    }
    __atomic_store_n(&panel->taken, taken, __ATOMIC_RELEASE);
}

/* Nothing moves it, and it stands where it is to be: another run would change nothing. */
static bool rests(const ParameterSpec *spec, const Smoother *smoother, float position, float band) {
    return spec->knob < 0 && spec->cv < 0 && (smoother->held || band == 0.0f) && smoother->low_pass == position &&
           smoother->rest == position && smoother->output == position && smoother->slack == 0.0f;
}

static void condition(Panel *panel, uint8_t index, unsigned runs) {
    const ParameterSpec *spec = &panel->spec->parameter[index];
    Parameter *parameter = &panel->parameter[index];
    if (spec->knob >= 0) {
        parameter->base = takeover_process(&parameter->takeover, knob_of(panel, index));
    }
    float position = parameter->base;
    if (spec->cv >= 0) {
        position += attenuverter(panel, spec) * panel->volts[spec->cv] * spec->travel_per_volt;
    }
    position = law_apply(spec->law, bound_unit(position));
    if (!panel->started) {
        smoother_reset(&parameter->smoother, position);
    }
    /* The ends are reached whole: what lies beyond them is cut off, and noise with it. */
    const float band = position > 0.0f && position < 1.0f ? spec->band : 0.0f;
    if (panel->started && rests(spec, &parameter->smoother, position, band)) {
        ramp_next(&parameter->value, parameter->value.to);
        return;
    }
    for (unsigned run = 0; run < runs; ++run) {
        smoother_process(&parameter->smoother, position, spec->smoothing, band);
    }
    parameter->position = bound_unit(parameter->smoother.output);
    const float value = table_at(spec->table, spec->points, parameter->position);
    if (panel->started) {
        ramp_next(&parameter->value, value);
    } else {
        ramp_reset(&parameter->value, value);
    }
}

/* What a word of the board's gates raises. */
static uint32_t raised_by(const PanelSpec *spec, uint32_t gates) {
    uint32_t raised = 0;
    for (uint8_t f = 0; f < spec->gates; ++f) {
        raised |= ((gates ^ spec->gate[f].inverted) & spec->gate[f].gates) != 0 ? 1u << f : 0u;
    }
    return raised;
}

static void read_audio_gate(Panel *panel, uint8_t function, const float *audio) {
    for (size_t i = 0; i < panel->ticks; ++i) {
        if (schmitt_process(&panel->audio_schmitt[function], audio[i] * panel->spec->audio_volts)) {
            panel->level[i] |= 1u << function;
        }
    }
}

static void find_edges(Panel *panel) {
    uint32_t last = panel->last_level;
    panel->risen = 0;
    for (size_t i = 0; i < panel->ticks; ++i) {
        const uint32_t level = panel->level[i];
        const uint32_t rise = level & ~last;
        panel->rise[i] = rise;
        last = level;
        if (__builtin_expect(rise != 0, 0)) {
            panel->risen |= rise;
            for (uint8_t f = 0; f < panel->spec->gates; ++f) {
                panel->edges[f] += rise >> f & 1u;
            }
        }
    }
    panel->last_level = last;
}

static void read_gates(Panel *panel, const PortBlock *block) {
    const PanelSpec *spec = panel->spec;
    uint32_t steady = panel->remote_held; /* what doesn't change within a block */
    for (uint8_t f = 0; f < spec->gates; ++f) {
        const int8_t cv = spec->gate[f].cv;
        if (cv >= 0 && schmitt_process(&panel->cv_schmitt[f], panel->volts[cv])) {
            steady |= 1u << f;
        }
    }
    /* Gates seldom move: the functions are found anew only where they do. */
    uint32_t gates = block->gates_in[0];
    uint32_t level = steady | raised_by(spec, gates);
    for (size_t i = 0; i < block->ticks; ++i) {
        if (__builtin_expect(block->gates_in[i] != gates, 0)) {
            gates = block->gates_in[i];
            level = steady | raised_by(spec, gates);
        }
        panel->level[i] = level;
    }
    for (uint8_t f = 0; f < spec->gates; ++f) {
        if (spec->gate[f].audio >= 0 && block->audio_in != NULL) {
            read_audio_gate(panel, f, block->audio_in[spec->gate[f].audio]);
        }
    }
    find_edges(panel);
}

static void take_calibration(Panel *panel) {
    const uint8_t jack = panel->staged_jack;
    if (jack < PORT_OUTPUT) {
        panel->calibration[jack] = panel->staged;
    } else {
        panel->trims.calibration[jack - PORT_OUTPUT] = panel->staged;
        panel->trims.known |= 1u << (jack - PORT_OUTPUT);
    }
}

void panel_begin(Panel *panel, const PortBlock *block) {
    panel->ticks = block->ticks;
    panel->per_tick = 1.0f / (float)block->ticks;
    if (__atomic_load_n(&panel->staged_full, __ATOMIC_ACQUIRE)) {
        take_calibration(panel);
        __atomic_store_n(&panel->staged_full, false, __ATOMIC_RELEASE);
    }
    for (uint8_t i = 0; i < panel->spec->inputs; ++i) {
        panel->volts[i] = calibration_volts(&panel->calibration[i], block->inputs[i]);
    }
    take_commands(panel);
    if (panel->macro.bank != NULL) {
        run_macro(panel);
    }
    const unsigned runs = block->ticks < TICKS_PER_RUN ? 1u : (unsigned)(block->ticks / TICKS_PER_RUN);
    for (uint8_t i = 0; i < panel->spec->parameters; ++i) {
        condition(panel, i, runs);
    }
    panel->started = true;
    read_gates(panel, block);
}

void panel_raise(Panel *panel, uint8_t function, size_t at) {
    panel->rise[at] |= 1u << function;
    panel->risen |= 1u << function;
    ++panel->edges[function];
}

void panel_end(Panel *panel, const PortBlock *block) {
    trims_apply(&panel->trims, panel->spec->output, panel->spec->outputs, block);
    panel->gates_out = block->gates_out[block->ticks - 1u];
    ++panel->blocks;
}

bool panel_post(Panel *panel, PortCommand command) {
    const uint32_t taken = __atomic_load_n(&panel->taken, __ATOMIC_ACQUIRE);
    const uint32_t posted = panel->posted;
    if (posted - taken >= PANEL_QUEUE) {
        return false;
    }
    panel->queue[posted % PANEL_QUEUE] = command;
    __atomic_store_n(&panel->posted, posted + 1u, __ATOMIC_RELEASE);
    return true;
}

void panel_report(const Panel *panel, PortReport *report) {
    *report = (PortReport){
        .blocks = panel->blocks,
        .gates_in = panel->last_level,
        .gates_out = panel->gates_out,
        .preset = panel->preset,
        .preset_unsaved = panel->presets_unsaved,
        .preset_slot = PORT_NO_MODEL,
    };
    const uint8_t named = panel->preset < PANEL_PRESETS ? panel->preset_model[panel->preset] : 0;
    if (named != 0) {
        report->preset_slot = (uint8_t)(named - 1u);
        report->preset_note = panel->model_note;
    }
    for (uint8_t i = 0; i < panel->spec->inputs; ++i) {
        report->volts[i] = panel->volts[i];
    }
    for (uint8_t i = 0; i < panel->spec->parameters; ++i) {
        report->position[i] = panel->parameter[i].position;
        report->value[i] = panel->parameter[i].value.to;
    }
    for (uint8_t f = 0; f < panel->spec->gates; ++f) {
        report->triggers[f] = panel->edges[f];
    }
}

/* An input's nominal law, or an output's: the share of its range, and the volts for it. False: there is no such jack. */
static bool nominal(const PanelSpec *spec, uint8_t jack, float *at_zero, float *at_one) {
    if (jack < spec->inputs) {
        *at_zero = spec->input[jack].volts_at_zero;
        *at_one = spec->input[jack].volts_at_one;
        return true;
    }
    if (jack < PORT_OUTPUT || jack - PORT_OUTPUT >= spec->outputs) {
        return false;
    }
    *at_zero = spec->output[jack - PORT_OUTPUT].low;
    *at_one = spec->output[jack - PORT_OUTPUT].high;
    return true;
}

const char *panel_calibrate(Panel *panel, uint8_t jack, uint8_t points, const float *codes, const float *volts) {
    float at_zero, at_one;
    if (!nominal(panel->spec, jack, &at_zero, &at_one)) {
        return "there is no such jack";
    }
    if (__atomic_load_n(&panel->staged_full, __ATOMIC_ACQUIRE)) {
        return "the last calibration is not taken yet; is the audio running?";
    }
    const char *refusal = calibration_set(&panel->staged, at_zero, at_one, points, codes, volts);
    if (refusal != NULL) {
        return refusal;
    }
    panel->staged_jack = jack;
    panel->calibration_unsaved = true;
    __atomic_store_n(&panel->staged_full, true, __ATOMIC_RELEASE);
    return NULL;
}

uint8_t panel_calibration(const Panel *panel, uint8_t jack, float *codes, float *volts) {
    float at_zero, at_one;
    if (!nominal(panel->spec, jack, &at_zero, &at_one)) {
        return 0;
    }
    const uint8_t output = (uint8_t)(jack - PORT_OUTPUT);
    if (jack >= PORT_OUTPUT && !(panel->trims.known >> output & 1u)) {
        return 0;
    }
    const Calibration *calibration = jack < PORT_OUTPUT ? &panel->calibration[jack] : &panel->trims.calibration[output];
    for (uint8_t i = 0; i < calibration->points; ++i) {
        codes[i] = calibration->code[i];
        volts[i] = calibration->volts[i];
    }
    return calibration->points;
}

/* Of every jack that the board has. */
static void believe(Panel *panel, uint8_t jack, Calibration *into, const Calibration *one) {
    float at_zero, at_one;
    if (nominal(panel->spec, jack, &at_zero, &at_one) &&
        calibration_set(into, at_zero, at_one, one->points, one->code, one->volts) == NULL && jack >= PORT_OUTPUT) {
        panel->trims.known |= 1u << (jack - PORT_OUTPUT);
    }
}

static void load_calibration(Panel *panel, const PortStorage *storage, StoredCalibration *stored) {
    if (!store_load(storage, &calibration_place, stored, sizeof *stored) ||
        stored->board_hash != panel->spec->board_hash) {
        return;
    }
    for (uint8_t i = 0; i < PORT_MAX_INPUTS; ++i) {
        believe(panel, i, &panel->calibration[i], &stored->calibration[i]);
    }
    for (uint8_t o = 0; o < PORT_MAX_CV_OUTS; ++o) {
        if (stored->outputs >> o & 1u) {
            believe(panel, (uint8_t)(PORT_OUTPUT + o), &panel->trims.calibration[o], &stored->output[o]);
        }
    }
}

/* What is stored is checked as if it had just been measured: a CRC can't tell good sense from bad. */
static void load(Panel *panel, const PortStorage *storage) {
    Stored stored;
    load_calibration(panel, storage, &stored.calibration);
    StoredPresets *presets = &stored.presets;
    if (store_load(storage, &preset_place, presets, sizeof *presets) &&
        presets->instrument_hash == panel->spec->instrument_hash) {
        panel->presets = presets->bank;
        for (uint8_t i = 0; i < PANEL_PRESETS; ++i) {
            panel->preset_model[i] = presets->model[i] <= PORT_MODEL_SLOTS + 1u ? presets->model[i] : 0;
        }
        if (panel->macro.bank != NULL) {
            *panel->macro.bank = presets->macro;
        }
    }
}

static bool save_calibration(Panel *panel, const PortStorage *storage) {
    StoredCalibration stored = {.board_hash = panel->spec->board_hash, .outputs = panel->trims.known};
    for (uint8_t i = 0; i < PORT_MAX_INPUTS; ++i) {
        stored.calibration[i] = panel->calibration[i];
    }
    for (uint8_t o = 0; o < PORT_MAX_CV_OUTS; ++o) {
        stored.output[o] = panel->trims.calibration[o];
    }
    return store_save(storage, &calibration_place, &stored, sizeof stored);
}

static bool save_presets(Panel *panel, const PortStorage *storage) {
    StoredPresets stored = {.instrument_hash = panel->spec->instrument_hash, .bank = panel->presets};
    if (panel->macro.bank != NULL) {
        stored.macro = *panel->macro.bank;
    }
    __builtin_memcpy(stored.model, panel->preset_model, sizeof stored.model);
    return store_save(storage, &preset_place, &stored, sizeof stored);
}

const char *panel_idle(Panel *panel, const PortStorage *storage) {
    if (!panel->loaded) {
        panel->loaded = true;
        load(panel, storage);
    }
    /* The flags fall before the copy is made: what the callback changes meanwhile is written next time. */
    if (panel->calibration_unsaved && !__atomic_load_n(&panel->staged_full, __ATOMIC_ACQUIRE)) {
        panel->calibration_unsaved = false;
        if (!save_calibration(panel, storage)) {
            panel->calibration_unsaved = true;
            return "the calibration could not be written; the one stored before is still there";
        }
    }
    if (panel->presets_unsaved) {
        panel->presets_unsaved = false;
        if (!save_presets(panel, storage)) {
            panel->presets_unsaved = true;
            return "the preset could not be written; the ones stored before are still there";
        }
    }
    return NULL;
}
