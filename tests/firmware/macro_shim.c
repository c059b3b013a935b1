/* A panel with a macro, two knobs and a remote parameter, and a flash that may lose power, for the tests. */
#include <stddef.h>
#include <string.h>

#include "control/panel.h"

static const InputSpec inputs[3] = {{.volts_at_one = 5.0f, .travel_high = 5.0f},
                                    {.volts_at_one = 5.0f, .travel_high = 5.0f},
                                    {.volts_at_one = 5.0f, .travel_high = 5.0f}};
static const float unit[2] = {0.0f, 1.0f};
static const ParameterSpec parameters[4] = {
    {.knob = 0, .cv = -1, .depth = -1, .table = unit, .points = 2},
    {.knob = 1, .cv = -1, .depth = -1, .table = unit, .points = 2},
    {.knob = -1, .cv = -1, .depth = -1, .rest = 0.25f, .table = unit, .points = 2},
    {.knob = 2, .cv = -1, .depth = -1, .table = unit, .points = 2},
};
static const GateSpec gates[1] = {{.gates = 1, .cv = -1, .audio = -1}};
static const MacroSpec macro = {.parameter = 3, .learn = 0};
static const PanelSpec spec = {.board_hash = 1,
                               .instrument_hash = 2,
                               .inputs = 3,
                               .parameters = 4,
                               .gates = 1,
                               .audio_volts = 5.0f,
                               .input = inputs,
                               .parameter = parameters,
                               .gate = gates,
                               .macro = &macro};
static Panel panel;
static uint8_t flash[PORT_SETTINGS_BYTES];
static uint32_t left;

static bool flash_read(void *context, uint32_t address, void *data, size_t bytes) {
    (void)context;
    memcpy(data, flash + address, bytes);
    return true;
}
static bool flash_erase(void *context, uint32_t address) {
    (void)context;
    const uint32_t whole = left < PORT_SECTOR_BYTES ? left : PORT_SECTOR_BYTES;
    memset(flash + address, 0xFF, whole);
    left -= whole;
    return whole == PORT_SECTOR_BYTES;
}
static bool flash_program(void *context, uint32_t address, const void *data, size_t bytes) {
    (void)context;
    const size_t whole = left < bytes ? left : bytes;
    for (size_t i = 0; i < whole; ++i) {
        flash[address + i] &= ((const uint8_t *)data)[i];
    }
    left -= (uint32_t)whole;
    return whole == bytes;
}
static const PortStorage storage = {NULL, flash_read, flash_erase, flash_program};

size_t shim_bank_bytes(void) { return sizeof(MacroBank); }
uint8_t *shim_flash(void) { return flash; }
void shim_power(uint32_t bytes) { left = bytes; }
void shim_begin(void) {
    static MacroBank bank;
    panel_init(&panel, &spec);
    panel_macro(&panel, &bank);
}
const char *shim_idle(void) { return panel_idle(&panel, &storage); }
bool shim_post(uint8_t kind, uint8_t index, float value) {
    return panel_post(&panel, (PortCommand){.kind = kind, .index = index, .value = value});
}
float shim_macro_position(uint32_t used, const uint16_t *anchors, float knob) {
    MacroBank bank = {.used = used};
    for (size_t n = 0; n < MACRO_ANCHORS; ++n) {
        bank.position[n][0] = anchors[n];
    }
    return macro_position(&bank, 0, knob);
}

/* Blocks of 48; readings[3]; position[4]: where all parameters stand then. */
void shim_blocks(size_t blocks, const float *readings, bool learn, float *position) {
    uint32_t in[48], out[48] = {0};
    for (size_t i = 0; i < 48; ++i) {
        in[i] = learn;
    }
    const PortBlock block = {.ticks = 48, .inputs = readings, .gates_in = in, .gates_out = out};
    for (size_t b = 0; b < blocks; ++b) {
        panel_begin(&panel, &block);
        panel_end(&panel, &block);
    }
    for (uint8_t i = 0; i < 4; ++i) {
        position[i] = panel.parameter[i].position;
    }
}
