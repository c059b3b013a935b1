/* A latent drive: audio through a learnt circuit, its type, amount and tone as knobs. */
#include "drive.h"

#define BYPASS_STEP (1.0f / 480.0f) /* 10 ms: a switch without a click */
#define POWER_SLOW 0.0004f          /* per sample: about 50 ms */
#define POWER_FLOOR 1e-6f           /* −60 dBFS: below it there is nothing to match */
#define MATCH_MOST 4.0f             /* ±12 dB */
#define LEAN_SLOW 1.309e-4f         /* per sample: a high-pass at 1 Hz */
#define LEAN_FLOOR 1e-9f            /* below it is no lean, so that silence becomes exact */
#define BENT_STEP (1.0f / 4800.0f)  /* per sample: 100 ms */
#define LOW_SLOW 0.0876f            /* per sample: the tone control's ends meet at 700 Hz */

void drive_init(Drive *drive, const DriveSpec *spec) {
    drive->spec = spec;
    drive->tone.started = false;
    drive_reset(drive);
}

void drive_reset(Drive *drive) {
    drive->spec->model->reset(drive->spec->state);
    if (drive->spec->second != NULL) {
        drive->spec->second->reset(drive->spec->second_state);
    }
    for (size_t i = 0; i < DRIVE_DELAY; ++i) {
        drive->delay[i] = 0.0f;
    }
    drive->written = 0;
    drive->age_ticks = 0;
    drive->dry_power = POWER_FLOOR;
    drive->wet_power = POWER_FLOOR;
    ramp_reset(&drive->matched, 1.0f);
    drive->bypass = 0.0f;
    drive->lean = 0.0f;
    ramp_reset(&drive->bent, 0.0f);
    drive->low = 0.0f;
}

static void fill_latents(Drive *drive, size_t ticks) {
    const DriveModel *model = drive->spec->model;
    const size_t due = model->frames_due(drive->spec->state, ticks);
    size_t at = (model->hop - drive->age_ticks % model->hop) % model->hop;
    for (size_t f = 0; f < due; ++f, at += model->hop) {
        const float share = at < ticks ? (float)at / (float)ticks : 1.0f;
        for (uint8_t i = 0; i < drive->spec->tone.latents; ++i) {
            drive->frames.latent[i * DRIVE_FRAMES + f] = ramp_at(&drive->tone.latent[i], share);
        }
        for (uint8_t i = 0; i < drive->spec->tone.knobs; ++i) {
            drive->frames.knob[i * DRIVE_FRAMES + f] = ramp_at(&drive->tone.knob[i], share);
        }
    }
    drive->age_ticks = (drive->age_ticks + (uint32_t)ticks) % model->hop;
}

/* Where the wet level stands against the dry one; followed slowly, applied as a ramp. */
static void match_levels(Drive *drive, const Panel *panel) {
    const float dry = drive->dry_power > POWER_FLOOR ? drive->dry_power : POWER_FLOOR;
    const float wet = drive->wet_power > POWER_FLOOR ? drive->wet_power : POWER_FLOOR;
    const float full = bound(__builtin_sqrtf(dry / wet), 1.0f / MATCH_MOST, MATCH_MOST);
    const float share = panel_value(panel, (uint8_t)drive->spec->match);
    ramp_next(&drive->matched, 1.0f + share * (full - 1.0f));
}

static bool is_bent(const Drive *drive) {
    const ToneSpec *tone = &drive->spec->tone;
    for (uint8_t i = (uint8_t)(tone->knobs - drive->spec->bends); i < tone->knobs; ++i) {
        if (drive->tone.knob[i].to != tone->knob_rest[i]) {
            return true;
        }
    }
    return false;
}

/* A bent circuit leans to one side. That is taken away while it is bent, so that noon is as it was, to the bit. */
static void straighten(Drive *drive, float per_tick, size_t ticks) {
    const float step = (float)ticks * BENT_STEP;
    ramp_next(&drive->bent, bound_unit(drive->bent.to + (is_bent(drive) ? step : -step)));
    Slope bent = ramp_slope(&drive->bent, per_tick, 0);
    float lean = drive->lean;
    for (size_t i = 0; i < ticks; ++i) {
        const float raw = bound_sound(drive->frames.out[i], 4.0f);
        lean += LEAN_SLOW * (raw - lean);
        drive->frames.out[i] = raw - slope_next(&bent) * lean;
    }
    drive->lean = magnitude(lean) < LEAN_FLOOR ? 0.0f : lean;
}

/* Another circuit hears the same, and the sound fades from the first to it. */
static void blend_in(Drive *drive, const Panel *panel, size_t ticks) {
    DriveFrames *frames = &drive->frames;
    for (size_t i = 0; i < ticks; ++i) {
        drive->first[i] = bound_sound(frames->out[i], 4.0f);
    }
    drive->spec->second->process(drive->spec->second_state, ticks, frames);
    Slope blend = panel_slope(panel, (uint8_t)drive->spec->blend, 0);
    for (size_t i = 0; i < ticks; ++i) {
        const float other = bound_sound(frames->out[i], 4.0f);
        frames->out[i] = drive->first[i] + slope_next(&blend) * (other - drive->first[i]);
    }
}

/* Tone: one end rises by up to 6 dB as the other falls by as much; at noon the sound is as it was, to the bit. */
static void tilt(Drive *drive, const Panel *panel, size_t ticks) {
    Slope slope = panel_slope(panel, (uint8_t)drive->spec->tilt, 0);
    float low = drive->low;
    for (size_t i = 0; i < ticks; ++i) {
        const float raw = bound_sound(drive->frames.out[i], 4.0f), bright = slope_next(&slope);
        low += LOW_SLOW * (raw - low);
        const float more = bright > 0.0f ? bright : 0.5f * bright, less = bright > 0.0f ? 0.5f * bright : bright;
        drive->frames.out[i] = raw + more * (raw - low) - less * low;
    }
    drive->low = magnitude(low) < LEAN_FLOOR ? 0.0f : low;
}

void drive_render(Drive *drive, const Panel *panel, const PortBlock *block) {
    const DriveSpec *spec = drive->spec;
    const size_t ticks = block->ticks;
    DriveFrames *frames = &drive->frames;
    tone_update(&drive->tone, &spec->tone, panel);
    Slope gain = panel_slope(panel, (uint8_t)spec->gain, 0);
    for (size_t i = 0; i < ticks; ++i) {
        const float in = block->audio_in != NULL ? block->audio_in[0][i] : 0.0f;
        frames->in[i] = audible(in * slope_next(&gain));
    }
    fill_latents(drive, ticks);
    spec->model->process(spec->state, ticks, frames);
    if (spec->bends > 0) {
        straighten(drive, panel->per_tick, ticks);
    }
    if (spec->second != NULL) {
        blend_in(drive, panel, ticks);
    }
    if (spec->tilt >= 0) {
        tilt(drive, panel, ticks);
    }
    match_levels(drive, panel);

    const uint32_t behind = spec->model->latency_ticks;
    Slope matched = ramp_slope(&drive->matched, panel->per_tick, 0);
    Slope mix = panel_slope(panel, (uint8_t)spec->mix, 0);
    Slope level = panel_slope(panel, (uint8_t)spec->level, 0);
    for (size_t i = 0; i < ticks; ++i) {
        drive->delay[drive->written % DRIVE_DELAY] = frames->in[i];
        const float dry = drive->delay[(drive->written - behind) % DRIVE_DELAY];
        ++drive->written;
        const float raw = bound_sound(frames->out[i], 4.0f);
        drive->dry_power += POWER_SLOW * (dry * dry - drive->dry_power);
        drive->wet_power += POWER_SLOW * (raw * raw - drive->wet_power);
        const float wet = raw * slope_next(&matched);
        const bool past = panel->level[i] >> DRIVE_BYPASS & 1u;
        drive->bypass = bound_unit(drive->bypass + (past ? BYPASS_STEP : -BYPASS_STEP));
        const float through = (dry + slope_next(&mix) * (wet - dry)) * slope_next(&level);
        frames->out[i] = through + drive->bypass * (dry - through);
    }
    output_sound(&spec->outputs, frames->out, block);
    for (uint8_t c = 0; c < spec->outputs.cvs; ++c) {
        const bool envelope = spec->outputs.cv[c] == DRIVE_OUT_ENVELOPE;
        const float volts = envelope ? bound(5.0f * __builtin_sqrtf(drive->dry_power), 0.0f, 5.0f) : 0.0f;
        for (size_t i = 0; i < ticks; ++i) {
            block->cv_out[c][i] = volts;
        }
    }
    for (size_t i = 0; i < ticks; ++i) {
        block->gates_out[i] = 0;
    }
}
