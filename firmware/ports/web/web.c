/* The web port: an instrument as a WebAssembly module, for a page or for node. No libc, no imports, fixed memory.
 *
 * JavaScript writes a block into the arrays below, calls web_render and reads what came out. Converters are ideal
 * and gates pass a Schmitt trigger in every sample, as in the host port.
 */
#include "port.h"

#include "control/schmitt.h"

#define TABLE_FRAMES 8u /* written at once, as over a module's cable */
#define EXPORT(name) __attribute__((export_name(#name)))

static float inputs[PORT_MAX_INPUTS];
static float gate_volts[PORT_MAX_GATES][PORT_MAX_BLOCK];
static float audio_in[PORT_MAX_AUDIO][PORT_MAX_BLOCK];
static float audio_out[PORT_MAX_AUDIO][PORT_MAX_BLOCK];
static float cv_out[PORT_MAX_CV_OUTS][PORT_MAX_BLOCK];
static uint32_t gates_in[PORT_MAX_BLOCK], gates_out[PORT_MAX_BLOCK];
static int16_t table_frames[TABLE_FRAMES][PORT_TABLE_LATENTS];
static Schmitt schmitts[PORT_MAX_GATES];
static PortReport last_report;

EXPORT(web_begin) void web_begin(void);
EXPORT(web_inputs) float *web_inputs(void);
EXPORT(web_gate_volts) float *web_gate_volts(void);
EXPORT(web_audio_in) float *web_audio_in(void);
EXPORT(web_audio_out) float *web_audio_out(void);
EXPORT(web_cv_out) float *web_cv_out(void);
EXPORT(web_gates_in) uint32_t *web_gates_in(void);
EXPORT(web_gates_out) uint32_t *web_gates_out(void);
EXPORT(web_max_block) uint32_t web_max_block(void);
EXPORT(web_post) uint32_t web_post(uint32_t kind, uint32_t index, float value);
EXPORT(web_table) int16_t *web_table(void);
EXPORT(web_table_write) uint32_t web_table_write(uint32_t which, uint32_t hash, uint32_t at, uint32_t frames);
EXPORT(web_positions) float *web_positions(void);
EXPORT(web_render) void web_render(uint32_t ticks);

/* Power on: controls, sequence and models from the start. */
void web_begin(void) {
    for (size_t g = 0; g < PORT_MAX_GATES; ++g) {
        schmitts[g] = (Schmitt){0};
    }
    instrument_init(instrument_info()->sample_rate_hz);
}

/* [inputs] converter readings 0 … 1, read once a block. */
float *web_inputs(void) { return inputs; }

/* [gates][web_max_block] volts. */
float *web_gate_volts(void) { return &gate_volts[0][0]; }

/* [channels][web_max_block], ±1 = full scale. */
float *web_audio_in(void) { return &audio_in[0][0]; }
float *web_audio_out(void) { return &audio_out[0][0]; }

/* [CV outs][web_max_block] volts. */
float *web_cv_out(void) { return &cv_out[0][0]; }

/* [web_max_block] bit g: gate g, after its Schmitt trigger; bit g: gate output g. */
uint32_t *web_gates_in(void) { return gates_in; }
uint32_t *web_gates_out(void) { return gates_out; }

uint32_t web_max_block(void) { return PORT_MAX_BLOCK; }

/* 0: sixteen are waiting already, try again after the next block. */
uint32_t web_post(uint32_t kind, uint32_t index, float value) {
    return instrument_post((PortCommand){.kind = (uint8_t)kind, .index = (uint8_t)index, .value = value});
}

/* [8][16] frames of a table of latents, from which web_table_write takes so many. 0: refused. */
int16_t *web_table(void) { return table_frames[0]; }
uint32_t web_table_write(uint32_t which, uint32_t hash, uint32_t at, uint32_t frames) {
    frames = frames < TABLE_FRAMES ? frames : TABLE_FRAMES;
    return instrument_table_write((uint8_t)which, hash, at, table_frames[0], frames) == NULL;
}

/* [parameters] position 0 … 1 of every control after the last block. */
float *web_positions(void) {
    instrument_report(&last_report);
    return last_report.position;
}

/* One block of `ticks` samples, at most web_max_block. */
void web_render(uint32_t ticks) {
    const PortInfo *info = instrument_info();
    for (size_t i = 0; i < ticks; ++i) {
        gates_in[i] = 0;
    }
    for (size_t g = 0; g < info->gates_in; ++g) {
        for (size_t i = 0; i < ticks; ++i) {
            gates_in[i] |= (uint32_t)schmitt_process(&schmitts[g], gate_volts[g][i]) << g;
        }
    }
    const float *in[PORT_MAX_AUDIO];
    float *out[PORT_MAX_AUDIO];
    float *cv[PORT_MAX_CV_OUTS];
    for (size_t c = 0; c < PORT_MAX_AUDIO; ++c) {
        in[c] = audio_in[c];
        out[c] = audio_out[c];
    }
    for (size_t c = 0; c < PORT_MAX_CV_OUTS; ++c) {
        cv[c] = cv_out[c];
    }
    const PortBlock block = {
        .ticks = ticks,
        .inputs = inputs,
        .gates_in = gates_in,
        .audio_in = info->audio_in != 0 ? in : NULL,
        .audio_out = out,
        .cv_out = cv,
        .gates_out = gates_out,
    };
    instrument_render(&block);
}
