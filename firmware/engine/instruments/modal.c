/* A struck, blown or bowed body: an exciter drives 32 resonators, and a drive bends what they sound like. */
#include "modal.h"

#include "../control/bound.h"
#include "../dsp/hash.h"
#include "../dsp/quick.h"

#define RATE_HZ 48000.0f
#define C1_CYCLES (32.7031957f / RATE_HZ)
#define LN_2 0.693147181f
#define TURN 6.28318531f
#define LN_1000 6.90775528f /* 60 dB */
#define PER_TURN (1.0f / 4294967296.0f)
#define FRAME ((float)MODAL_FRAME)
#define CHOKED_LOSS (LN_1000 / (0.06f * RATE_HZ)) /* −60 dB in 60 ms */
#define DEAD 11.5f                                /* what an envelope lost: −100 dB */
#define MOST_LIFT 16.0f                           /* of a stroke softer than its body is low: 24 dB */
#define TINY 1e-15f                               /* always in: a filter's state does not shrink to denormals */
#define ACCENTED 2.0f
#define LOUDEST 0.9f
#define FOLLOW_KEEP 0.99917f /* of the envelope per sample: 25 ms */
#define FOLLOW_SILENT 1e-7f

void modal_init(Modal *modal, const ModalSpec *spec) {
    modal->spec = spec;
    modal_reset(modal);
}

void modal_reset(Modal *modal) {
    *modal = (Modal){.spec = modal->spec, .place = MODAL_FRAME, .age = MODAL_FRAME, .fallen = DEAD};
    vk_resonators_begin(&modal->bank, MODAL_MODES, MODAL_SEED);
}

/* Parameters as they are where a frame begins. */
typedef struct Reader {
    const Panel *panel;
    float share; /* of the block that has passed */
} Reader;

static float value(const Reader *reader, int8_t parameter) {
    return ramp_at(&reader->panel->parameter[(uint8_t)parameter].value, reader->share);
}

/* A one-pole's coefficient for a corner that is told as its logarithm, in Hz. */
static float corner(float log_hz) { return 1.0f - natural_exp(natural_exp(log_hz) * (-TURN / RATE_HZ)); }

static float pitch(const Modal *modal, const Reader *reader) {
    const ModalSpec *spec = modal->spec;
    const float settles = natural_exp(value(reader, spec->settle)) * RATE_HZ;
    const float left = bound_unit(1.0f - (float)modal->age / settles);
    const float octaves = value(reader, spec->pitch) + value(reader, spec->bend) * (left * left * left);
    return C1_CYCLES * natural_exp(LN_2 * octaves);
}

/* Where the envelope goes in this frame. */
static void move_envelope(Modal *modal, const Reader *reader) {
    const ModalSpec *spec = modal->spec;
    const float attack = natural_exp(value(reader, spec->attack)) * RATE_HZ;
    const float loss = natural_exp(-value(reader, spec->length)) * (LN_1000 / RATE_HZ);
    const float end = (float)modal->age + FRAME;
    if (!modal->hold) {
        modal->fallen = bound(modal->fallen + loss * bound(end - attack, 0.0f, FRAME), 0.0f, DEAD);
    }
    if (modal->choke) {
        modal->fallen = bound(modal->fallen + FRAME * CHOKED_LOSS, 0.0f, DEAD);
    }
    const float next = modal->fallen < DEAD ? bound_unit(end / attack) * natural_exp(-modal->fallen) : 0.0f;
    modal->frame.envelope = modal->envelope;
    modal->frame.slope = (next - modal->envelope) * (1.0f / FRAME);
    modal->envelope = next;
}

/* How much of what excites the body goes where. */
static void share_out(Modal *modal, const Reader *reader, float ring) {
    const ModalSpec *spec = modal->spec;
    ModalFrame *frame = &modal->frame;
    const float kind = 2.0f * value(reader, spec->exciter) - 1.0f;
    const float strike = kind < 0.0f ? -kind : 0.0f, saw = kind > 0.0f ? kind : 0.0f;
    const float noise = 1.0f - strike - saw;
    const float length = natural_exp(value(reader, spec->length)) * (RATE_HZ / LN_1000);
    const float gathers = length * ring / (length + ring); /* samples in which a mode takes it up */
    const float log_hz = value(reader, spec->hardness);
    const float above = frame->cycles * RATE_HZ * natural_exp(-log_hz);
    const float lift = modal->force * bound(1.0f + above * above, 1.0f, MOST_LIFT) / (modal->bank.loudness + 0.01f);
    frame->low = corner(log_hz);
    frame->high = corner(value(reader, spec->colour));
    frame->strike = strike * lift;
    frame->noise = noise * lift / __builtin_sqrtf(gathers * (1.0f / 6.0f) + 1.0f);
    frame->saw = saw * lift * 3.0f / (gathers + 1.0f);
    const float direct = value(reader, spec->direct);
    frame->direct = direct * direct * modal->force;
    frame->click = strike * 2.5f / frame->low; /* the low-pass makes it as high as the noise */
    frame->noise_share = noise;
    frame->saw_share = saw;
}

static void begin_frame(Modal *modal, const Reader *reader) {
    const ModalSpec *spec = modal->spec;
    ModalFrame *frame = &modal->frame;
    const float loss = natural_exp(-value(reader, spec->decay)) * (LN_1000 / RATE_HZ);
    frame->cycles = pitch(modal, reader);
    const vk_resonators_asked asked = {
        .cycles = frame->cycles,
        .stretch = value(reader, spec->stretch),
        .scatter = value(reader, spec->scatter),
        .loss = loss,
        .damping = value(reader, spec->damping),
        .brightness = value(reader, spec->brightness),
        .position = value(reader, spec->position),
        .choke = modal->choke ? CHOKED_LOSS : 0.0f,
    };
    vk_resonators_tune(&modal->bank, &asked);
    share_out(modal, reader, 1.0f / loss);
    move_envelope(modal, reader);
    frame->gain = natural_exp(value(reader, spec->drive));
    frame->makeup = LOUDEST / quick_tanh(all(frame->gain))[0];
    modal->place = 0;
}

static void strike(Modal *modal, const Panel *panel, size_t at) {
    const bool accented = panel->level[at] >> MODAL_ACCENT & 1u;
    const bool remote = at == 0 && panel->remote_voices != 0 && panel->remote_accent >= 0.0f;
    modal->force = remote ? ACCENTED * bound_unit(panel->remote_accent) : accented ? ACCENTED : 1.0f;
    modal->place = MODAL_FRAME;
    modal->age = 0;
    modal->stroke++;
    modal->phase = 0;
    modal->fallen = 0.0f;
    modal->envelope = 0.0f;
    modal->struck = true;
    modal->pulse = PULSE_TICKS;
}

/* A sawtooth whose jumps are rounded off (PolyBLEP, Välimäki and Huovilainen 2007). */
static inline float sawtooth(float at, float cycles) {
    float y = at + at - 1.0f;
    if (at < cycles) {
        const float u = at / cycles - 1.0f;
        y += u * u;
    } else if (at > 1.0f - cycles) {
        const float u = (at - 1.0f) / cycles + 1.0f;
        y -= u * u;
    }
    return y;
}

static inline float filtered(float *low, float coefficient, float x) {
    low[0] += coefficient * (x - low[0]);
    low[1] += coefficient * (low[0] - low[1]);
    return low[1];
}

/* What drives the bank, and what goes past it, for samples of one frame. */
static void excite(Modal *modal, float *restrict into, float *restrict past, uint32_t samples) {
    ModalFrame *frame = &modal->frame;
    const uint32_t step = (uint32_t)(frame->cycles * 4294967296.0f);
    const uint32_t key = hash32(MODAL_SEED * GOLDEN + modal->stroke) + modal->age;
    float high = frame->high, low = frame->low;
    for (uint32_t n = 0; n < samples; n++) {
        const float noise = (float)(int32_t)hash32(key + n) * 0x1p-31f;
        const float saw = sawtooth((float)modal->phase * PER_TURN, frame->cycles);
        const float now = frame->envelope;
        modal->phase += step;
        frame->envelope += frame->slope;
        float inward = now * (frame->noise * noise + frame->saw * saw) + TINY;
        float beside = now * (frame->noise_share * noise + frame->saw_share * saw) + TINY;
        if (modal->struck) {
            inward += frame->strike;
            beside += frame->click;
            modal->struck = false;
        }
        into[n] = filtered(modal->low, low, inward);
        const float soft = filtered(modal->low + 2, low, beside);
        modal->high[0] += high * (soft - modal->high[0]);
        const float once = soft - modal->high[0];
        modal->high[1] += high * (once - modal->high[1]);
        past[n] = frame->direct * (once - modal->high[1]);
    }
}

/* tanh, so that a gain of nothing is nearly straight and one of much is nearly square. */
static void bend(const ModalFrame *frame, float *sound, uint32_t samples) {
    ROLLED for (uint32_t n = 0; n < samples; n += 4u) {
        const f4 x = {sound[n], sound[n + 1u], sound[n + 2u], sound[n + 3u]};
        const f4 y = product(quick_tanh(product(x, all(frame->gain))), all(frame->makeup));
        FOUR { sound[n + j] = y[j]; }
    }
}

static void sound_on(Modal *modal, float *out, uint32_t samples) {
    float into[MODAL_FRAME], sound[MODAL_FRAME + 3u] = {0};
    excite(modal, into, sound, samples);
    vk_resonators_ring(&modal->bank, into, sound, samples);
    bend(&modal->frame, sound, samples);
    for (uint32_t n = 0; n < samples; n++) {
        out[n] = sound[n];
    }
    modal->place += samples;
    modal->age += modal->age < UINT32_MAX - MODAL_FRAME ? samples : 0u;
}

/* Whether a trigger strikes here: no two do within a frame. */
static bool strikes(const Modal *modal, const Panel *panel, size_t at) {
    const bool struck = (panel->rise[at] >> MODAL_TRIGGER & 1u) || (at == 0 && panel->remote_voices != 0);
    return struck && modal->age >= MODAL_FRAME;
}

/* Samples until the frame ends, the block does, or a trigger strikes. */
static uint32_t until(const Modal *modal, const Panel *panel, size_t at, size_t ticks) {
    uint32_t samples = MODAL_FRAME - modal->place;
    samples = ticks - at < samples ? (uint32_t)(ticks - at) : samples;
    for (uint32_t n = 1; n < samples; n++) {
        if (panel->rise[at + n] >> MODAL_TRIGGER & 1u) {
            return n;
        }
    }
    return samples;
}

/* The loudness that is followed, up at once and down with 25 ms. */
static void write_envelope(Modal *modal, const PortBlock *block, const float *sound) {
    const OutputSpec *outputs = &modal->spec->outputs;
    float followed = modal->followed;
    for (size_t i = 0; i < block->ticks; ++i) {
        const float now = magnitude(sound[i]);
        const float falling = followed > FOLLOW_SILENT ? followed * FOLLOW_KEEP : 0.0f;
        followed = now > falling ? now : falling;
        for (uint8_t c = 0; c < outputs->cvs; ++c) {
            block->cv_out[c][i] = outputs->cv[c] == MODAL_OUT_ENVELOPE ? 5.0f * bound_unit(followed) : 0.0f;
        }
    }
    modal->followed = followed;
}

void modal_render(Modal *modal, const Panel *panel, const PortBlock *block) {
    const OutputSpec *outputs = &modal->spec->outputs;
    const uint32_t high = output_gates(outputs, 1u << MODAL_OUT_TRIGGER);
    float sound[PORT_MAX_BLOCK];
    for (size_t i = 0; i < block->ticks;) {
        if (strikes(modal, panel, i)) {
            strike(modal, panel, i);
        }
        if (modal->place == MODAL_FRAME) {
            modal->hold = panel->level[i] >> MODAL_HOLD & 1u;
            modal->choke = panel->level[i] >> MODAL_CHOKE & 1u;
            const Reader reader = {panel, (float)i * panel->per_tick};
            begin_frame(modal, &reader);
        }
        const uint32_t samples = until(modal, panel, i, block->ticks);
        sound_on(modal, sound + i, samples);
        for (uint32_t n = 0; n < samples; ++n) {
            block->gates_out[i + n] = pulse_next(&modal->pulse) ? high : 0u;
        }
        i += samples;
    }
    Slope level = panel_slope(panel, (uint8_t)modal->spec->level, 0);
    for (size_t i = 0; i < block->ticks; ++i) {
        sound[i] = audible(sound[i] * slope_next(&level));
        for (uint8_t c = 0; c < outputs->audios; ++c) {
            block->audio_out[c][i] = outputs->audio[c] >= 0 ? sound[i] : 0.0f;
        }
    }
    write_envelope(modal, block, sound);
}
