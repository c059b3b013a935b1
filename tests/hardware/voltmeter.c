/* An instrument for the tests of boards: it measures, and makes no sound that a model would.
 *
 * Eight inputs of ±5 V (inverting, as on a Patch SM), calibrated and stored by the engine's own code, so that what
 * the tests prove about calibration and power cuts is what a module does. Audio out: a sine's worth of input 0;
 * gate out 0 follows gate in 0.
 */
#include "../../firmware/engine/control/calibration.h"
#include "../../firmware/engine/control/store.h"
#include "../../firmware/engine/port.h"

#include <string.h>

#define INPUTS 8u
#define PARAMETERS 4u
#define PRESETS 4u
#define CALIBRATION_KIND 1u
#define PRESET_KIND 2u

static const PortParameter parameters[PARAMETERS] = {
    {"latent/1", 0, 4}, {"latent/2", 1, 5}, {"latent/3", 2, 6}, {"attribute/decay", 3, -1}};

static const PortInfo info = {.title = "voltmeter",
                              .kind = "test",
#ifdef VOLTMETER_BOARD
                              .board = VOLTMETER_BOARD,
#else
                              .board = "patch_sm",
#endif
                              .version = "0.1.0",
                              .model_hash = "00c0ffee",
                              .sample_rate_hz = 48000.0f,
                              .block = 48,
                              .latency_ticks = 48,
                              .inputs = INPUTS,
                              .gates_in = 3,
                              .gates_out = 2,
                              .audio_in = 2,
                              .audio_out = 2,
                              .cv_outs = 2,
                              .parameters = PARAMETERS,
                              .presets = PRESETS,
                              .parameter = parameters};

static struct {
    Calibration calibration[INPUTS];
    float preset[PRESETS][PARAMETERS];
    float set[PARAMETERS];
    PortReport report;
    PortCommand command[16];
    uint32_t posted, taken;
    bool loaded, calibration_dirty, preset_dirty;
} self;

const PortInfo *instrument_info(void) { return &info; }

void instrument_init(float sample_rate_hz) {
    (void)sample_rate_hz;
    memset(&self, 0, sizeof self);
    self.report.preset = 255;
    self.report.preset_slot = PORT_NO_MODEL;
    for (size_t i = 0; i < INPUTS; i++) calibration_nominal(&self.calibration[i], 5.0f, -5.0f);
    instrument_reset();
}

void instrument_reset(void) {}

static void obey(PortCommand c) {
    switch (c.kind) {
    case PORT_SET: self.set[c.index] = c.value; break;
    case PORT_TRIGGER: self.report.triggers[0]++; break;
    case PORT_PRESET_RECALL:
        memcpy(self.set, self.preset[c.index], sizeof self.set);
        self.report.preset = c.index;
        break;
    case PORT_PRESET_SAVE:
        memcpy(self.preset[c.index], self.set, sizeof self.set);
        self.report.preset_unsaved = self.preset_dirty = true;
        break;
    default: break;
    }
}

void instrument_render(const PortBlock *block) {
    while (self.taken != __atomic_load_n(&self.posted, __ATOMIC_ACQUIRE)) {
        obey(self.command[self.taken % 16u]);
        __atomic_store_n(&self.taken, self.taken + 1u, __ATOMIC_RELEASE);
    }
    for (size_t i = 0; i < INPUTS; i++)
        self.report.volts[i] = calibration_volts(&self.calibration[i], block->inputs[i]);
    for (size_t i = 0; i < PARAMETERS; i++) self.report.position[i] = self.report.value[i] = self.set[i];
    uint32_t level = self.report.gates_in;
    for (size_t t = 0; t < block->ticks; t++) {
        for (size_t g = 0; g < info.gates_in; g++) self.report.triggers[g] += (block->gates_in[t] & ~level) >> g & 1u;
        level = block->gates_in[t];
        block->gates_out[t] = level & 1u;
        for (size_t c = 0; c < 2; c++) {
            block->audio_out[c][t] = block->audio_in != NULL ? block->audio_in[c][t] : 0.0f;
            block->cv_out[c][t] = self.report.volts[c];
        }
    }
    self.report.gates_in = level;
    self.report.gates_out = level & 1u;
    self.report.blocks++;
}

bool instrument_post(PortCommand command) {
    if (self.posted - __atomic_load_n(&self.taken, __ATOMIC_ACQUIRE) == 16u) return false;
    self.command[self.posted % 16u] = command;
    __atomic_store_n(&self.posted, self.posted + 1u, __ATOMIC_RELEASE);
    return true;
}

void instrument_report(PortReport *report) { *report = self.report; }

const char *instrument_calibrate(uint8_t input, uint8_t points, const float *codes, const float *volts) {
    if (input >= INPUTS) return "no such input";
    const char *refused = calibration_set(&self.calibration[input], 5.0f, -5.0f, points, codes, volts);
    if (refused == NULL) self.calibration_dirty = true;
    return refused;
}

uint8_t instrument_calibration(uint8_t input, float *codes, float *volts) {
    if (input >= INPUTS) return 0;
    const Calibration *c = &self.calibration[input];
    memcpy(codes, c->code, sizeof c->code);
    memcpy(volts, c->volts, sizeof c->volts);
    return c->points;
}

const char *instrument_idle(const PortStorage *storage) {
    const StorePlace calibration_at = {.sectors = 1, .kind = CALIBRATION_KIND, .version = 1};
    const StorePlace presets_at = {.address = 2u * PORT_SECTOR_BYTES, .sectors = 1, .kind = PRESET_KIND, .version = 1};
    if (!self.loaded) {
        Calibration calibration[INPUTS];
        float preset[PRESETS][PARAMETERS];
        if (store_load(storage, &calibration_at, calibration, sizeof calibration))
            memcpy(self.calibration, calibration, sizeof calibration);
        if (store_load(storage, &presets_at, preset, sizeof preset)) memcpy(self.preset, preset, sizeof preset);
        self.loaded = true;
    }
    if (self.calibration_dirty) {
        if (!store_save(storage, &calibration_at, self.calibration, sizeof self.calibration))
            return "the calibration could not be written";
        self.calibration_dirty = false;
    }
    if (self.preset_dirty) {
        if (!store_save(storage, &presets_at, self.preset, sizeof self.preset))
            return "the presets could not be written";
        self.preset_dirty = self.report.preset_unsaved = false;
    }
    return NULL;
}

bool instrument_table(uint8_t which, PortTable *table) {
    (void)which, (void)table;
    return false;
}

const char *instrument_table_write(uint8_t which, uint32_t hash, uint32_t at, const int16_t *frame, uint32_t frames) {
    (void)which, (void)hash, (void)at, (void)frame, (void)frames;
    return "a voltmeter has no tables";
}

void instrument_load(const PortStorage *storage) { (void)storage; }

void instrument_models(PortModels *models) { *models = (PortModels){0}; }

bool instrument_model(const PortStorage *storage, uint8_t slot, PortModel *model) {
    (void)storage, (void)slot, (void)model;
    return false;
}

static const char no_models[] = "a voltmeter has no models";

const char *instrument_model_begin(const PortStorage *storage, uint8_t slot, const void *head, size_t bytes) {
    (void)storage, (void)slot, (void)head, (void)bytes;
    return no_models;
}

const char *instrument_model_data(const PortStorage *storage, uint32_t at, const uint8_t *data, size_t count) {
    (void)storage, (void)at, (void)data, (void)count;
    return no_models;
}

const char *instrument_model_commit(const PortStorage *storage) {
    (void)storage;
    return no_models;
}

const char *instrument_model_use(const PortStorage *storage, uint8_t slot) {
    (void)storage, (void)slot;
    return no_models;
}

const char *instrument_model_morph(const PortStorage *storage, uint8_t slot) {
    (void)storage, (void)slot;
    return no_models;
}

const char *instrument_model_erase(const PortStorage *storage, uint8_t slot) {
    (void)storage, (void)slot;
    return no_models;
}
