/* The host port: a whole script of volts in, audio, gates and CV out, block by block as a board would do it.
 *
 * It is also what a simulated board and the fuzzer call. Converters are ideal: volts become codes by the nominal
 * law of the input, read once per block; gates pass a Schmitt trigger in every sample.
 */
#include "port.h"

#include "../denormals.h"
#include "control/schmitt.h"

#include <string.h>

typedef struct HostEvent {
    size_t tick;
    PortCommand command;
} HostEvent;

typedef struct HostScript {
    size_t ticks; /* of all of it */
    size_t block;
    size_t done; /* samples rendered */
    size_t events, posted;
    const HostEvent *event; /* [events] in order; each is posted with the block it falls into */
    const float *input;     /* [inputs][ticks] converter readings, 0 … 1 */
    const float *gate;      /* [gates][ticks] volts */
    const float *audio_in;  /* [channels][ticks] or NULL */
    float *audio_out;       /* [channels][ticks] */
    float *cv_out;          /* [CV outs][ticks] volts */
    uint32_t *gate_out;     /* [ticks] */
    float *position;        /* [blocks][parameters] or NULL: what the controls did */
} HostScript;

static Schmitt schmitts[PORT_MAX_GATES];

void host_begin(void) {
    memset(schmitts, 0, sizeof schmitts);
    instrument_init(instrument_info()->sample_rate_hz);
}

static void post_events(HostScript *script, size_t before) {
    while (script->posted < script->events && script->event[script->posted].tick < before &&
           instrument_post(script->event[script->posted].command)) {
        ++script->posted;
    }
}

static void render_block(HostScript *script, size_t ticks) {
    static uint32_t gates[PORT_MAX_BLOCK];
    const PortInfo *info = instrument_info();
    const size_t at = script->done;
    float readings[PORT_MAX_INPUTS] = {0.0f};
    for (size_t i = 0; i < info->inputs; ++i) {
        readings[i] = script->input[i * script->ticks + at];
    }
    memset(gates, 0, sizeof gates);
    for (size_t g = 0; g < info->gates_in; ++g) {
        const float *volts = script->gate + g * script->ticks + at;
        for (size_t i = 0; i < ticks; ++i) {
            gates[i] |= (uint32_t)schmitt_process(&schmitts[g], volts[i]) << g;
        }
    }
    const float *audio_in[PORT_MAX_AUDIO] = {NULL};
    float *audio_out[PORT_MAX_AUDIO] = {NULL};
    float *cv_out[PORT_MAX_CV_OUTS] = {NULL};
    for (size_t c = 0; c < info->audio_in && c < PORT_MAX_AUDIO && script->audio_in != NULL; ++c) {
        audio_in[c] = script->audio_in + c * script->ticks + at;
    }
    for (size_t c = 0; c < info->audio_out && c < PORT_MAX_AUDIO; ++c) {
        audio_out[c] = script->audio_out + c * script->ticks + at;
    }
    for (size_t c = 0; c < info->cv_outs && c < PORT_MAX_CV_OUTS; ++c) {
        cv_out[c] = script->cv_out + c * script->ticks + at;
    }
    const PortBlock block = {
        .ticks = ticks,
        .inputs = readings,
        .gates_in = gates,
        .audio_in = script->audio_in != NULL ? audio_in : NULL,
        .audio_out = audio_out,
        .cv_out = cv_out,
        .gates_out = script->gate_out + at,
    };
    instrument_render(&block);
    if (script->position != NULL) {
        PortReport report;
        instrument_report(&report);
        memcpy(script->position + at / script->block * info->parameters, report.position,
               info->parameters * sizeof(float));
    }
}

/* Renders until `until` samples of the script are done. */
void host_render(HostScript *script, size_t until) {
    const uint64_t before = flush_denormals();
    while (script->done < until && script->done < script->ticks) {
        size_t ticks = script->block < PORT_MAX_BLOCK ? script->block : PORT_MAX_BLOCK;
        ticks = script->ticks - script->done < ticks ? script->ticks - script->done : ticks;
        post_events(script, script->done + ticks);
        render_block(script, ticks);
        script->done += ticks;
    }
    restore_denormals(before);
}
