/* Opens the engine's controls to Python, and holds the loops that would be slow there. */
#include "control/calibration.h"
#include "control/gate_ring.h"
#include "control/law.h"
#include "control/panel.h"
#include "control/ramp.h"
#include "control/schmitt.h"
#include "control/smoother.h"
#include "control/store.h"
#include "control/table.h"
#include "control/takeover.h"

#include <math.h>
#include <string.h>

/* ---- curves ---- */
static Calibration calibration;
const char *shim_calibrate(float zero, float one, uint8_t points, const float *code, const float *volts) {
    calibration_nominal(&calibration, zero, one);
    return calibration_set(&calibration, zero, one, points, code, volts);
}
float shim_volts(float code) { return calibration_volts(&calibration, code); }
float shim_law(uint8_t law, float x) { return law_apply(law, x); }
float shim_table(const float *table, uint16_t points, float x) { return table_at(table, points, x); }
void shim_smooth(const float *in, float *out, size_t n, float smoothing, float band) {
    Smoother smoother;
    smoother_reset(&smoother, in[0]);
    for (size_t i = 0; i < n; ++i) {
        out[i] = smoother_process(&smoother, in[i], smoothing, band);
    }
}
void shim_takeover(float stored, const float *knob, float *out, size_t n) {
    Takeover takeover = {.waiting = false};
    takeover_store(&takeover, stored, knob[0]);
    for (size_t i = 0; i < n; ++i) {
        out[i] = takeover_process(&takeover, knob[i]);
    }
}

/* ---- gates ---- */
void shim_schmitt(const float *volts, uint8_t *level, size_t n) {
    Schmitt schmitt = {.level = false};
    for (size_t i = 0; i < n; ++i) {
        level[i] = schmitt_process(&schmitt, volts[i]);
    }
}
static uint32_t noise(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}
/* 1 ms pulses at random phases, 2 to 6 ms apart, through a timer of poll_samples and blocks of `block`.
 * Times are in samples. Returns the pulses seen; *worst: largest distance of a flag from its edge. */
uint32_t shim_triggers(uint32_t pulses, double poll_samples, double poll_phase, uint32_t block, uint32_t seed,
                       double *worst) {
    static GateRing ring;
    static uint32_t gates[PORT_MAX_BLOCK];
    gate_ring_reset(&ring);
    static double rises[1u << 18]; /* the k-th edge seen belongs to the k-th made */
    double rise = 100.0 + noise(&seed) / 16777216.0, fall = rise + 48.0, poll = poll_phase * poll_samples;
    uint32_t made = 0, seen = 0, last = 0;
    rises[0] = rise;
    *worst = 0.0;
    for (uint64_t start = 0; made < pulses || (double)start < fall + 2.0 * block; start += block) {
        const double now = (double)(start + block);
        for (; poll < now; poll += poll_samples) {
            if (poll >= fall && made < pulses) {
                rise = fall + 48.0 * (1.0 + 4.0 * noise(&seed) / 16777216.0);
                fall = rise + 48.0;
                rises[++made] = rise;
            }
            gate_ring_poll(&ring, poll >= rise && poll < fall && made < pulses);
        }
        gate_ring_take(&ring, gates, block);
        for (uint32_t i = 0; i < block; ++i) {
            if (gates[i] && !last) {
                const double away = fabs((double)(start + i) - rises[seen++]);
                *worst = away > *worst ? away : *worst;
            }
            last = gates[i];
        }
    }
    return seen;
}

/* ---- storage: a flash that loses power after `left` bytes, the byte it dies on left half-written ---- */
static uint8_t flash[PORT_STORAGE_BYTES];
static uint32_t left, dirt;
static bool flash_read(void *context, uint32_t address, void *data, size_t bytes) {
    (void)context;
    memcpy(data, flash + address, bytes);
    return true;
}
static bool flash_erase(void *context, uint32_t address) {
    (void)context;
    for (uint32_t i = 0; i < PORT_SECTOR_BYTES; ++i) {
        if (left == 0) {
            flash[address + i] = (uint8_t)(flash[address + i] | noise(&dirt));
            return false;
        }
        --left;
        flash[address + i] = 0xFF;
    }
    return true;
}
static bool flash_program(void *context, uint32_t address, const void *data, size_t bytes) {
    (void)context;
    for (size_t i = 0; i < bytes; ++i) {
        const uint8_t byte = ((const uint8_t *)data)[i];
        if (left == 0) {
            flash[address + i] = (uint8_t)(flash[address + i] & (byte | noise(&dirt)));
            return false;
        }
        --left;
        flash[address + i] &= byte;
    }
    return true;
}
static const PortStorage storage = {NULL, flash_read, flash_erase, flash_program};
uint8_t *shim_flash(void) { return flash; }
void shim_power(uint32_t bytes, uint32_t seed) {
    left = bytes;
    dirt = seed;
}
uint32_t shim_power_left(void) { return left; }
static const StorePlace place = {.sectors = 1, .kind = 7, .version = 1};
bool shim_save(const void *payload, size_t bytes) { return store_save(&storage, &place, payload, bytes); }
bool shim_load(void *payload, size_t bytes) { return store_load(&storage, &place, payload, bytes); }
/* Cuts the save of `next` at every byte in turn, starting from a flash that holds `before` twice over.
 * Returns the number of cuts after which neither of the two was read back whole. */
uint32_t shim_cut_everywhere(const uint8_t *before, const uint8_t *next, size_t bytes, uint32_t *cuts) {
    static uint8_t image[PORT_SETTINGS_BYTES];
    static uint8_t read_back[STORE_PAYLOAD_BYTES];
    uint32_t lost = 0;
    memset(flash, 0xFF, sizeof image);
    shim_power(UINT32_MAX, 1);
    shim_save(before, bytes);
    shim_save(before, bytes);
    memcpy(image, flash, sizeof image);
    for (*cuts = 0;; ++*cuts) {
        memcpy(flash, image, sizeof image);
        shim_power(*cuts, *cuts);
        const bool whole = shim_save(next, bytes);
        const bool good = shim_load(read_back, bytes);
        const bool is_old = good && memcmp(read_back, before, bytes) == 0;
        const bool is_new = good && memcmp(read_back, next, bytes) == 0;
        lost += whole ? !is_new : !(is_old || is_new);
        if (whole) {
            return lost;
        }
        /* and the next save after the cut works */
        shim_power(UINT32_MAX, 1);
        lost += !shim_save(next, bytes) || !shim_load(read_back, bytes) || memcmp(read_back, next, bytes) != 0;
    }
}

/* ---- a small panel: knob 0 with CV 1 by depth knob 2 into a latent; CV 3 alone; a bare parameter ---- */
static const InputSpec inputs[4] = {
    {.volts_at_zero = 0.0f, .volts_at_one = 5.0f, .travel_low = 0.0f, .travel_high = 5.0f},
    {.volts_at_zero = 5.0f, .volts_at_one = -5.0f, .travel_low = -5.0f, .travel_high = 5.0f},
    {.volts_at_zero = 0.0f, .volts_at_one = 5.0f, .travel_low = 0.0f, .travel_high = 5.0f},
    {.volts_at_zero = -5.0f, .volts_at_one = 5.0f, .travel_low = -5.0f, .travel_high = 5.0f},
};
static const float latent[5] = {-4.0f, -0.7f, 0.0f, 0.7f, 4.0f};
static const float unit[2] = {0.0f, 1.0f};
static const ParameterSpec parameters[3] = {
    {.knob = 0,
     .cv = 1,
     .depth = 2,
     .travel_per_volt = 0.1f,
     .smoothing = 0.85f,
     .band = 0.0015f,
     .table = latent,
     .points = 5},
    {.knob = -1,
     .cv = 3,
     .depth = -1,
     .attenuverter = 1.0f,
     .travel_per_volt = 0.1f,
     .rest = 0.5f,
     .smoothing = 0.85f,
     .band = 0.0015f,
     .table = unit,
     .points = 2},
    {.knob = -1, .cv = -1, .depth = -1, .rest = 0.25f, .table = unit, .points = 2},
};
static const GateSpec gate_specs[3] = {
    {.gates = 1, .cv = -1, .audio = -1}, {.cv = 3, .audio = -1}, {.cv = -1, .audio = 0}};
static const PanelSpec spec = {.board_hash = 11,
                               .instrument_hash = 22,
                               .inputs = 4,
                               .parameters = 3,
                               .gates = 3,
                               .audio_volts = 5.0f,
                               .input = inputs,
                               .parameter = parameters,
                               .gate = gate_specs};
static Panel panel;
void shim_panel_init(void) { panel_init(&panel, &spec); }
/* One block; out: [ticks] of parameter `which`; rises: [ticks]. */
void shim_panel_block(const float *readings, const uint32_t *gates, const float *audio, size_t ticks, uint8_t which,
                      float *out, uint32_t *rises) {
    static uint32_t gates_out[PORT_MAX_BLOCK];
    const float *channels[1] = {audio};
    const PortBlock block = {.ticks = ticks,
                             .inputs = readings,
                             .gates_in = gates,
                             .gates_out = gates_out,
                             .audio_in = audio ? channels : NULL};
    panel_begin(&panel, &block);
    for (size_t i = 0; i < ticks; ++i) {
        out[i] = ramp_at(&panel.parameter[which].value, (float)(i + 1) / (float)ticks);
        rises[i] = panel.rise[i];
    }
    panel_end(&panel, &block);
}
bool shim_panel_post(uint8_t kind, uint8_t index, float value) {
    return panel_post(&panel, (PortCommand){.kind = kind, .index = index, .value = value});
}
const char *shim_panel_idle(void) { return panel_idle(&panel, &storage); }
const char *shim_panel_calibrate(uint8_t input, uint8_t points, const float *codes, const float *volts) {
    return panel_calibrate(&panel, input, points, codes, volts);
}
float shim_panel_volts(uint8_t input) { return panel.volts[input]; }
uint32_t shim_panel_edges(uint8_t gate) { return panel.edges[gate]; }
