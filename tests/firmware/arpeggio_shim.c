/* The engine's arpeggio with a model whose answer the test sets. */
#include "instruments/arpeggio.h"

#include <string.h>

#include "shim_rows.h"

static const float lengths[2] = {0.05f, 1.0f};
static const float octaves2[2] = {-24.0f, 24.0f}, octaves5[2] = {-60.0f, 60.0f};
static const InputSpec inputs[3] = {{.volts_at_zero = -5.0f, .volts_at_one = 5.0f, .travel_high = 5.0f},
                                    {.volts_at_zero = -5.0f, .volts_at_one = 5.0f, .travel_high = 5.0f},
                                    {.volts_at_zero = -5.0f, .volts_at_one = 5.0f, .travel_high = 5.0f}};
/* latent 0, ratio tempo swing pattern range length density pace voicing, transpose 10, input 11, snap 12 */
#define JACK(number, span, values)                                                                                     \
    {.knob = -1,                                                                                                       \
     .cv = (number),                                                                                                   \
     .depth = -1,                                                                                                      \
     .attenuverter = 1.0f,                                                                                             \
     .travel_per_volt = 1.0f / (span),                                                                                 \
     .rest = 0.5f,                                                                                                     \
     .table = (values),                                                                                                \
     .points = 2,                                                                                                      \
     .band = 0.0f}
static ParameterSpec parameters[13] = {{.knob = -1,
                                        .cv = 0,
                                        .depth = -1,
                                        .attenuverter = 1.0f,
                                        .travel_per_volt = 0.1f,
                                        .rest = 0.5f,
                                        .smoothing = 0.85f,
                                        .band = 0.0015f,
                                        .table = unit,
                                        .points = 2},
                                       ROW(6.0f / 11.0f, unit),
                                       ROW(0.4f, tempo),
                                       ROW(0.0f, unit),
                                       ROW(0.0f, unit),
                                       ROW(0.0f, unit),
                                       ROW(0.5f, lengths),
                                       ROW(1.0f, unit),
                                       ROW(0.0f, unit),
                                       ROW(1.0f, unit),
                                       JACK(1, 4.0f, octaves2),
                                       JACK(2, 10.0f, octaves5),
                                       ROW(0.0f, unit)};
static const GateSpec gates[3] = {GATE(0), GATE(1), GATE(2)};
static const PanelSpec panel_spec = {
    .inputs = 3, .parameters = 13, .gates = 3, .input = inputs, .parameter = parameters, .gate = gates};

/* Scores at the ends of the latent; between them a straight line. */
static float low[ARPEGGIO_SCORES][ARPEGGIO_SLOTS], high[ARPEGGIO_SCORES][ARPEGGIO_SLOTS];
static float at;
static unsigned decodes, left;
static void scores_reset(void *state) { (void)state; }
static void scores_begin(void *state, const float *latents, const float *attributes) {
    (void)state, (void)attributes;
    at = latents[0];
    left = 3;
    ++decodes;
}
static bool scores_step(void *state, uint32_t cycles) {
    (void)state, (void)cycles;
    return --left == 0;
}
static void scores_result(void *state, float scores[ARPEGGIO_SCORES][ARPEGGIO_SLOTS]) {
    (void)state;
    for (size_t r = 0; r < ARPEGGIO_SCORES; ++r) {
        for (size_t s = 0; s < ARPEGGIO_SLOTS; ++s) {
            scores[r][s] = low[r][s] + (high[r][s] - low[r][s]) * at;
        }
    }
}
static const Decoder decoder = {scores_reset, scores_begin, scores_step};
static const ArpeggioModel model = {&decoder, scores_result};
static const int8_t latent_of[1] = {0};
static const int8_t gate_jacks[4] = {0, 1, 2, 3};
static const int8_t cv_jacks[3] = {0, 1, 2};
static Quality qualities[ARPEGGIO_QUALITIES];
static ArpeggioSpec spec = {
    .model = &model,
    .tone = ONE_LATENT(latent_of),
    .sample_rate_hz = 48000.0f,
    .quality = qualities,
    .ratio = 1,
    .tempo = 2,
    .swing = 3,
    .pattern = 4,
    .range = 5,
    .length = 6,
    .density = 7,
    .pace = 8,
    .voicing = 9,
    .transpose = 10,
    .input = 11,
    .snap = 12,
    .clocked = true,
    .outputs = {.cvs = 3, .gates = 4, .cv = cv_jacks, .gate = gate_jacks},
};
static Arpeggio arpeggio;
static Panel panel;
void shim_arpeggio_init(bool clocked, const uint8_t *quality, const float *at_low, const float *at_high) {
    memcpy(qualities, quality, sizeof qualities);
    memcpy(low, at_low, sizeof low);
    memcpy(high, at_high, sizeof high);
    decodes = 0;
    spec.clocked = clocked;
    panel_init(&panel, &panel_spec);
    arpeggio_init(&arpeggio, &spec);
}
void shim_arpeggio_scores(const float *at_low, const float *at_high) {
    memcpy(low, at_low, sizeof low);
    memcpy(high, at_high, sizeof high);
}
bool shim_arpeggio_set(uint8_t parameter, float position) {
    return panel_post(&panel, (PortCommand){.kind = PORT_SET, .index = parameter, .value = position});
}
unsigned shim_arpeggio_decodes(void) { return decodes; }
/* gates: [ticks] bits clock, reset, freeze; readings: [blocks][3]; chord and voices: [blocks], as each block ends. */
void shim_arpeggio_run(const uint32_t *gates_in, const float *readings, size_t ticks, size_t block, uint32_t *gates_out,
                       float *melody, float *bass, float *quantized, uint8_t *chord, uint8_t *voiced) {
    for (size_t at_tick = 0, n = 0; at_tick < ticks; at_tick += block, ++n) {
        float *cv_out[3] = {melody + at_tick, bass + at_tick, quantized + at_tick};
        const PortBlock one = {.ticks = ticks - at_tick < block ? ticks - at_tick : block,
                               .inputs = readings + 3 * n,
                               .gates_in = gates_in + at_tick,
                               .cv_out = cv_out,
                               .gates_out = gates_out + at_tick};
        panel_begin(&panel, &one);
        arpeggio_render(&arpeggio, &panel, &one);
        panel_end(&panel, &one);
        chord[n] = (uint8_t)(arpeggio.sounding.root * ARPEGGIO_QUALITIES + arpeggio.sounding.quality);
        voiced[5 * n] = arpeggio.voices;
        memcpy(voiced + 5 * n + 1, arpeggio.voiced, ARPEGGIO_VOICES);
    }
}
