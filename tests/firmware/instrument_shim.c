/* The engine's rhythm and drum with models whose answers are known: a pattern the test sets, a decaying sine. */
#include "instruments/drum.h"
#include "instruments/rhythm.h"

#include <math.h>
#include <string.h>

#include "shim_rows.h"

static const InputSpec input[1] = {{.volts_at_one = 5.0f, .travel_high = 5.0f}};

/* ---- rhythm: parameter 0 the latent, 1 … 9 densities, then ratio tempo swing timing accent fill ---- */
static ParameterSpec rhythm_parameters[16] = {
    ROW(0.5f, unit), ROW(0.5f, unit), ROW(0.5f, unit),  ROW(0.5f, unit), ROW(0.5f, unit),         ROW(0.5f, unit),
    ROW(0.5f, unit), ROW(0.5f, unit), ROW(0.5f, unit),  ROW(0.5f, unit), ROW(6.0f / 11.0f, unit), ROW(0.4f, tempo),
    ROW(0.0f, unit), ROW(1.0f, unit), ROW(0.25f, unit), ROW(1.0f, unit),
};
static const GateSpec rhythm_gates[4] = {GATE(0), GATE(1), GATE(2), GATE(3)};
static const PanelSpec rhythm_panel = {
    .inputs = 1, .parameters = 16, .gates = 4, .input = input, .parameter = rhythm_parameters, .gate = rhythm_gates};

static Pattern wanted;
static unsigned slices, slice, decodes;
static float decoded_latent;
static void pattern_reset(void *state) {
    (void)state;
    slice = 0;
}
static void pattern_begin(void *state, const float *latents, const float *attributes) {
    (void)state, (void)attributes;
    slice = 0;
    decoded_latent = latents[0];
    ++decodes;
}
static bool pattern_step(void *state, uint32_t cycles) {
    (void)state;
    slice += cycles / 7000u; /* what it decodes in a callback while it plays */
    return slice >= slices;
}
static void pattern_result(void *state, Pattern *pattern) {
    (void)state;
    *pattern = wanted;
}
static const Decoder pattern_decoder = {pattern_reset, pattern_begin, pattern_step};
static const RhythmModel pattern_model = {&pattern_decoder, pattern_result};
static const int8_t latent_of[1] = {0};
static int8_t gate_jacks[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const int8_t cv_jacks[1] = {RHYTHM_OUT_VELOCITY};
static RhythmSpec rhythm_spec = {
    .model = &pattern_model,
    .tone = ONE_LATENT(latent_of),
    .sample_rate_hz = 48000.0f,
    .density = {1, 2, 3, 4, 5, 6, 7, 8, 9},
    .ratio = 10,
    .tempo = 11,
    .swing = 12,
    .timing = 13,
    .accent = 14,
    .fill = 15,
    .clocked = true,
    .outputs = {.cvs = 1, .gates = 12, .cv = cv_jacks, .gate = gate_jacks},
};
static Rhythm rhythm;
static Panel panel;
void shim_rhythm_init(bool clocked, unsigned slices_of_decode, const float *pattern) {
    memcpy(&wanted, pattern, sizeof wanted);
    slices = slices_of_decode;
    decodes = 0;
    rhythm_spec.clocked = clocked;
    panel_init(&panel, &rhythm_panel);
    rhythm_init(&rhythm, &rhythm_spec);
}
bool shim_rhythm_set(uint8_t parameter, float position) {
    return panel_post(&panel, (PortCommand){.kind = PORT_SET, .index = parameter, .value = position});
}
bool shim_rhythm_command(uint8_t kind) { return panel_post(&panel, (PortCommand){.kind = kind}); }
unsigned shim_decodes(void) { return decodes; }
float shim_decoded(void) { return decoded_latent; }
/* gates: [ticks] bits clock, reset, fill, freeze. */
void shim_rhythm_run(const uint32_t *gates, size_t ticks, size_t block, uint32_t *gates_out, float *velocity) {
    const float readings[1] = {0.0f};
    for (size_t at = 0; at < ticks; at += block) {
        float *cv_out[1] = {velocity + at};
        const PortBlock one = {.ticks = ticks - at < block ? ticks - at : block,
                               .inputs = readings,
                               .gates_in = gates + at,
                               .cv_out = cv_out,
                               .gates_out = gates_out + at};
        panel_begin(&panel, &one);
        rhythm_render(&rhythm, &panel, &one);
        panel_end(&panel, &one);
    }
}

/* ---- drum: parameter 0 level, 1 decay, 2 accent, 3 a latent ---- */
static const float no_decay[2] = {0.0f, 0.001f};
static const ParameterSpec drum_parameters[4] = {ROW(1.0f, unit), ROW(0.0f, no_decay), ROW(1.0f, unit),
                                                 ROW(0.5f, unit)};
static const GateSpec drum_gates[3] = {GATE(0), GATE(1), GATE(2)};
static const PanelSpec drum_panel = {
    .inputs = 1, .parameters = 4, .gates = 3, .input = input, .parameter = drum_parameters, .gate = drum_gates};
/* A network that says: one mode of 0.02 radians a sample that falls in 9600 samples, or in 70653, as loud as its latent; three modes
 * are off, and so is all noise. Its work is counted in samples. */
#define SLOTS 4u
typedef struct Sine {
    float latent;
    uint32_t part;
} Sine;
static bool from_cosine, rings_long;
static uint32_t work_now, work_most; /* in this block, and in the busiest one */
static unsigned evaluations;
static void sine_reset(void *state) { *(Sine *)state = (Sine){.latent = 0.0f}; }
static void sine_begin(void *state, const float *latents, const float *knobs) {
    (void)knobs;
    *(Sine *)state = (Sine){.latent = latents[0]};
    ++evaluations;
}
static void sine_reach(void *state, uint32_t part, uint32_t whole) {
    Sine *sine = state;
    (void)whole;
    work_now += part - sine->part;
    sine->part = part;
}
static void sine_result(void *state, float *modes, float *glide, float *noise) {
    const Sine *sine = state;
    for (uint32_t k = 0; k < SLOTS; ++k) {
        modes[k] = 0.0f;
        modes[SLOTS + k] = rings_long ? 20.0f : 0.79138f;
        modes[2u * SLOTS + k] = k == 0 ? logf(2.0f * sine->latent + 1e-6f) : -12.0f;
        modes[3u * SLOTS + k] = from_cosine ? 0.0f : 1.0f;
        modes[4u * SLOTS + k] = from_cosine ? 1.0f : 0.0f;
    }
    glide[0] = -6.0f;
    glide[1] = 0.0f;
    for (uint32_t k = 0; k < 8u; ++k) {
        noise[k] = -12.0f;
    }
}
static void sine_stroke(void *state, float *transient) {
    (void)state;
    for (uint32_t n = 0; n < 4u; ++n) {
        transient[n] = 0.0f;
    }
}
static const float sine_anchors[SLOTS] = {3.183098862e-3f, 0.01f, 0.02f, 0.03f}, sine_spreads[SLOTS];
static const int16_t sine_bands[64u * 4u];
static const float sine_peaks[4];
static const uint16_t sine_grid[2] = {0, 2000};
static const float sine_fade[4] = {1.0f, 1.0f, 1.0f, 1.0f};
static const HitSound sine_sound = {.modes = {sine_anchors, sine_spreads, SLOTS, 0},
                                    .bands = {sine_bands, sine_peaks, 4},
                                    .grid = sine_grid,
                                    .fade = sine_fade,
                                    .points = 2,
                                    .transient = 4};
static const HitModel sine_model = {.sound = &sine_sound,
                                    .reset = sine_reset,
                                    .begin = sine_begin,
                                    .reach = sine_reach,
                                    .result = sine_result,
                                    .stroke = sine_stroke};
static Sine sine_state;
static Voice drum_voices[2];
static const int8_t drum_latent[1] = {3};
static const int8_t mix_jack[1] = {0};
static DrumSpec drum_spec = {
    .model = &sine_model,
    .state = &sine_state,
    .voice = drum_voices,
    .voices = 2,
    .tone = ONE_LATENT(drum_latent),
    .level = 0,
    .decay = 1,
    .accent = 2,
    .outputs = {.audios = 1, .gates = 1, .audio = mix_jack, .gate = mix_jack},
};
static Drum drum;
void shim_drum_init(uint8_t voices, bool cut, bool cosine, bool ringing) {
    from_cosine = cosine;
    rings_long = ringing;
    work_most = 0;
    evaluations = 0;
    drum_spec.voices = voices;
    drum_spec.cut = cut;
    panel_init(&panel, &drum_panel);
    drum_init(&drum, &drum_spec);
}
void shim_drum_run(const uint32_t *gates, size_t ticks, size_t block, float *audio, uint32_t *gates_out) {
    const float readings[1] = {0.0f};
    for (size_t at = 0; at < ticks; at += block) {
        float *audio_out[1] = {audio + at};
        const PortBlock one = {.ticks = ticks - at < block ? ticks - at : block,
                               .inputs = readings,
                               .gates_in = gates + at,
                               .audio_out = audio_out,
                               .gates_out = gates_out + at};
        panel_begin(&panel, &one);
        work_now = 0;
        drum_render(&drum, &panel, &one);
        work_most = work_now > work_most ? work_now : work_most;
        panel_end(&panel, &one);
    }
}
unsigned shim_drum_most_work(void) { return work_most; }
unsigned shim_drum_evaluations(void) { return evaluations; }
bool shim_drum_set(uint8_t parameter, float position) {
    return panel_post(&panel, (PortCommand){.kind = PORT_SET, .index = parameter, .value = position});
}
