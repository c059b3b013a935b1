/* Spectra: volts and a gate in; a network says magnitudes, and they sound (dsp/spsi.h).
 *
 * Once in a hop of 256 samples hands are read, and the network is told pitch, the note's age and the latents. What it
 * says lies on an axis of which a harmonic is four bins wide, so that the pitch is the axis's scale. The steps of a hop
 * are of about the same price, each due so many samples after its beginning. A note is heard 11 to 21 ms after its gate:
 * one or two hops, and half a window of 1024 samples.
 */
#ifndef VAECTROL_INSTRUMENTS_SPECTRA_H
#define VAECTROL_INSTRUMENTS_SPECTRA_H

#include "../control/panel.h"
#include "../dsp/spsi.h"
#include "note.h"
#include "outputs.h"
#include "tone.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPECTRA_LATENTS 16u
#define SPECTRA_CONTROLS (1u + NOTE_AGES)
#define SPECTRA_TICKS 64u /* of a hop, into which a network can be cut */
#define SPECTRA_PARTS 2u  /* of the stage that fits magnitudes */

enum { SPECTRA_GATE = 0, SPECTRA_ACCENT, SPECTRA_GATES };
enum { SPECTRA_OUT_NOTE = 0 };
enum { SPECTRA_OUT_ENVELOPE = 0, SPECTRA_OUT_PITCH }; /* volts */
enum { SPECTRA_AUDIO_MIX = 0 };
enum { SPECTRA_STAGE_SAY = 0, SPECTRA_STAGE_FIT, SPECTRA_STAGE_SOUND };

/* A part of a stage: so many ticks of the network, a part of the magnitudes, or a piece of a frame. */
typedef struct SpectraStep {
    uint16_t due; /* samples after the hop began, rising, below 256 */
    uint8_t stage, part;
} SpectraStep;

/* A compiled decoder; generated. The first tick of a hop reads what goes in, the last writes what comes out. */
typedef struct SpectraModel {
    void (*reset)(void *state);
    void (*process)(void *state, uint8_t ticks, const float *latent, const float *control, float *magnitudes);
} SpectraModel;

typedef struct SpectraSpec {
    const SpectraModel *model;
    void *memory;
    ToneSpec tone;                                     /* latents */
    int8_t pitch, tune, fine, glide, body;             /* parameters */
    int8_t attack, release, life, velocity, level;     /* parameters */
    int8_t tonality, noise, harmonic, stretch, smooth; /* parameters */
    const SpectraStep *steps;                          /* of a hop, in order */
    uint16_t count;                                    /* of them */
    OutputSpec outputs;
} SpectraSpec;

typedef struct Spectra {
    const SpectraSpec *spec;
    Tone tone;
    vk_fft_roots roots;
    vk_spsi spsi;
    float latent[SPECTRA_LATENTS], control[SPECTRA_CONTROLS];
    float said[VK_SPSI_BINS];   /* log magnitudes, of the network */
    float smooth[VK_SPSI_BINS]; /* the same, as they follow */
    float logs[VK_SPSI_BINS];   /* at the loudness of the hop */
    float sound[VK_SPSI_HOP];
    vk_spsi_asked asked;
    float share;    /* of the block that has passed where a step is done */
    float octaves;  /* above 220 Hz, after glide */
    float swell;    /* loudness by attack and release, 0 … 1 */
    float struck;   /* dB, of the note */
    float loudness; /* log, of the hop */
    float follow;   /* part of the way that magnitudes go in the hop */
    uint16_t at;    /* samples into the hop */
    uint16_t step;  /* the next one */
    bool rises;     /* a gate rose since the last hop */
    bool tuned;     /* the pitch was asked for before */
} Spectra;

void spectra_init(Spectra *spectra, const SpectraSpec *spec);
void spectra_reset(Spectra *spectra);
void spectra_render(Spectra *spectra, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
