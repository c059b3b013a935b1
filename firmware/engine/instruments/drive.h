/* A latent drive: audio through a learnt circuit, its type, amount and tone as knobs. */
#ifndef VAECTROL_INSTRUMENTS_DRIVE_H
#define VAECTROL_INSTRUMENTS_DRIVE_H

#include "../control/panel.h"
#include "outputs.h"
#include "tone.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DRIVE_FRAMES 8u
#define DRIVE_DELAY 1024u /* samples of dry sound kept beside the model; a power of two */

enum { DRIVE_BYPASS = 0, DRIVE_GATES };
enum { DRIVE_OUT_ENVELOPE = 0 };

/* Frames for one call of the model; channel c of frame f at [c · DRIVE_FRAMES + f]. */
typedef struct DriveFrames {
    float latent[TONE_LATENTS * DRIVE_FRAMES];
    float knob[TONE_KNOBS * DRIVE_FRAMES]; /* what bends the model, where it can be bent */
    float in[PORT_MAX_BLOCK];
    float out[PORT_MAX_BLOCK];
} DriveFrames;

/* A compiled effect; generated. */
typedef struct DriveModel {
    uint16_t hop; /* samples per latent frame */
    uint16_t latency_ticks;
    void (*reset)(void *state);
    size_t (*frames_due)(const void *state, size_t ticks);
    void (*process)(void *state, size_t ticks, DriveFrames *frames);
} DriveModel;

typedef struct DriveSpec {
    const DriveModel *model;
    void *state;
    ToneSpec tone;
    const DriveModel *second; /* another circuit, of the same latency and without latents; NULL: none */
    void *second_state;
    int8_t mix, gain, match, level; /* parameters */
    int8_t blend, tilt;             /* -1: none */
    uint8_t bends;                  /* the last of the tone's knobs: what bends the model */
    OutputSpec outputs;
} DriveSpec;

typedef struct Drive {
    const DriveSpec *spec;
    Tone tone;
    DriveFrames frames;
    float delay[DRIVE_DELAY];
    uint32_t written;
    uint32_t age_ticks;
    float dry_power, wet_power; /* for the level match */
    Ramp matched;
    float bypass;                /* 0: through the model, 1: past it */
    float lean;                  /* mean of what a model plays that can be bent */
    Ramp bent;                   /* 0: no bend is away from where it rests, 1: the lean is taken away */
    float low;                   /* what the tone control takes for low */
    float first[PORT_MAX_BLOCK]; /* what the first of two circuits plays */
} Drive;

void drive_init(Drive *drive, const DriveSpec *spec);
void drive_reset(Drive *drive);
void drive_render(Drive *drive, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
