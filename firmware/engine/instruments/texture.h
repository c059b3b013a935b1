/* A texture: sound becomes latents, hands bend them, latents become sound, a hop of 256 samples at a time.
 *
 * When a hop is complete, its loudness is told, and at it sounds the frame that was made of the hop before. Then the
 * next frame is made, in steps of about the same price, each due so many samples after: every callback does its share.
 * An ear may listen beside it: then a stroke of a chosen group freezes it for a while, as the gate does.
 * The steps and their dues are the same whatever the block, so that blocks change nothing but when controls are read.
 */
#ifndef VAECTROL_INSTRUMENTS_TEXTURE_H
#define VAECTROL_INSTRUMENTS_TEXTURE_H

#include "../control/panel.h"
#include "../dsp/ear.h"
#include "../dsp/pitch.h"
#include "../dsp/source_filter.h"
#include "listening.h"
#include "outputs.h"
#include "tone.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TEXTURE_LATENTS 16u
#define TEXTURE_NUMBERS (2u * VK_SOURCE_BANDS + 1u)
#define TEXTURE_DRY 1024u /* samples of dry sound kept beside the model; a power of two */

enum { TEXTURE_FREEZE = 0, TEXTURE_GATES };
enum { TEXTURE_OUT_ONSET = 0 };
#define TEXTURE_TOLD 32 /* voltages of latents: as they are heard, then as they are played */
enum { TEXTURE_OUT_PITCH = TEXTURE_TOLD, TEXTURE_OUT_VOICING, TEXTURE_OUT_LOUDNESS };
enum {
    TEXTURE_STAGE_TRACK = 0,
    TEXTURE_STAGE_HEAR,
    TEXTURE_STAGE_ENCODE,
    TEXTURE_STAGE_PLAY, /* what hands make of what was heard */
    TEXTURE_STAGE_PULSES,
    TEXTURE_STAGE_DECODE,
    TEXTURE_STAGE_GAINS,
    TEXTURE_STAGE_FRAME
};

/* A part of a stage: a piece of what the engine does itself, or so many ticks of a network. */
typedef struct TextureStep {
    uint16_t due; /* samples after the hop is complete, rising, below 256 */
    uint8_t stage, part;
} TextureStep;

/* A compiled half; generated. A hop has TEXTURE_TICKS ticks; the first reads what goes in, the last writes what comes
 * out. */
#define TEXTURE_TICKS 64u

typedef struct TextureEncoder {
    vk_ear ear;
    void (*reset)(void *state);
    void (*process)(void *state, uint8_t ticks, const float *heard, float *latent);
} TextureEncoder;

typedef struct TextureDecoder {
    vk_source_filter filter;
    void (*reset)(void *state);
    /* knobs: what bends it, where it can be bent. */
    void (*process)(void *state, uint8_t ticks, const float *latent, const float *control, const float *knobs,
                    float *numbers);
} TextureDecoder;

typedef struct TextureSpec {
    const TextureEncoder *encoder; /* NULL: nothing is heard, hands say all */
    const TextureDecoder *decoder; /* NULL: what is heard goes out as voltages alone */
    void *encoder_memory, *decoder_memory;
    const float *pitch_taps;
    ToneSpec tone;
    const LatentSpec *layer; /* what happens to latents before the decoder has them; NULL: nothing */
    LatentMemory memory;
    const ListeningSpec *ear; /* what listens for strokes beside it; NULL: nothing */
    Listening *listening;     /* and what that keeps */
    int8_t catch, caught;     /* parameters: which strokes freeze it, for how many hops */
    const float *quantiles;   /* [latents][points] of the latents, to tell their place in 0 … 5 V */
    uint8_t points;
    int8_t blend, scale, pitch, transpose, quantize, loudness, gain, mix, level; /* parameters */
    const TextureStep *steps;                                                    /* of a hop, in order */
    uint16_t count;                                                              /* of them */
    uint16_t behind; /* samples by which what sounds follows what was heard */
    OutputSpec outputs;
} TextureSpec;

/* What is said of a hop. */
typedef struct TextureFrame {
    float latent[TEXTURE_LATENTS];
    float octaves, voicing, loudness;
} TextureFrame;

typedef struct Texture {
    const TextureSpec *spec;
    Tone tone;
    vk_fft_roots roots;
    vk_ear_state ear;
    vk_pitch_state tracker;
    vk_source_state source;
    float arriving[VK_HOP], playing[VK_HOP]; /* the hop that comes in, and the one that sounds */
    float heard[VK_EAR_BANDS + 1u];          /* bands and loudness */
    float latent[TEXTURE_LATENTS], control[3], knob[TONE_KNOBS], numbers[TEXTURE_NUMBERS]; /* what networks say and
                                                                                              are told */
    TextureFrame ear_says, played; /* what the encoder hears, and what the decoder is told */
    float dry[TEXTURE_DRY];
    float share;      /* of the block that has passed where a step is done */
    uint32_t written; /* samples since reset */
    uint16_t at;      /* samples into the hop that arrives */
    uint16_t step;    /* next one */
    bool frozen, holds;
    uint16_t caught; /* hops left for which a stroke freezes it */
    float slow_loudness;
    uint16_t onset; /* ticks left of the pulse */
    uint8_t deaf;   /* hops left in which no sound begins */
} Texture;

void texture_init(Texture *texture, const TextureSpec *spec);
void texture_reset(Texture *texture);
void texture_render(Texture *texture, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
