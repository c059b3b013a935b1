/* A texture: sound becomes latents, hands bend them, latents become sound, a hop of 256 samples at a time.
 *
 * What a hop costs is done in steps, each due so many samples after the hop is complete: the load is spread over as
 * many samples as the instrument's latency leaves. The steps and the moment the hop sounds are the same whatever the
 * block, so that blocks change nothing but when controls are read.
 */
#ifndef VAECTROL_INSTRUMENTS_TEXTURE_H
#define VAECTROL_INSTRUMENTS_TEXTURE_H

#include "../control/panel.h"
#include "../dsp/ear.h"
#include "../dsp/pitch.h"
#include "../dsp/source_filter.h"
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
enum { TEXTURE_OUT_PITCH = TEXTURE_LATENTS, TEXTURE_OUT_VOICING, TEXTURE_OUT_LOUDNESS }; /* below: latents */
enum {
    TEXTURE_STEP_TRACK = 0,
    TEXTURE_STEP_HEAR,
    TEXTURE_STEP_ENCODE,
    TEXTURE_STEP_PULSES,
    TEXTURE_STEP_DECODE,
    TEXTURE_STEP_GAINS,
    TEXTURE_STEP_SOUND,
    TEXTURE_STEPS
};

/* A compiled half; generated. Both see one hop. */
typedef struct TextureEncoder {
    vk_ear ear;
    void (*reset)(void *state);
    void (*process)(void *state, const float *heard, float *latent);
} TextureEncoder;

typedef struct TextureDecoder {
    vk_source_filter filter;
    void (*reset)(void *state);
    void (*process)(void *state, const float *latent, const float *control, float *numbers);
} TextureDecoder;

typedef struct TextureSpec {
    const TextureEncoder *encoder; /* NULL: nothing is heard, hands say all */
    const TextureDecoder *decoder; /* NULL: what is heard goes out as voltages alone */
    void *encoder_memory, *decoder_memory;
    const float *pitch_taps;
    ToneSpec tone;
    const float *quantiles; /* [latents][points] of the latents, to tell their place in 0 … 5 V */
    uint8_t points;
    int8_t blend, scale, pitch, transpose, quantize, loudness, gain, mix, level; /* parameters */
    uint16_t due[TEXTURE_STEPS]; /* samples after the hop is complete, rising */
    uint16_t sounds;             /* samples after it that the hop sounds; above all dues, at most 256 */
    uint16_t behind;             /* samples by which what sounds follows what was heard */
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
    float arriving[VK_HOP], complete[VK_HOP]; /* sound that comes in, and the hop being worked at */
    float made[VK_HOP], playing[VK_HOP];
    float heard[VK_EAR_BANDS + 1u];
    float numbers[TEXTURE_NUMBERS];
    TextureFrame ear_says, played; /* what the encoder hears, and what the decoder is told */
    float dry[TEXTURE_DRY];
    float share;      /* of the block that has passed where a step is done */
    uint32_t written; /* samples since reset */
    uint16_t at;      /* samples into the hop that arrives */
    uint8_t step;     /* next one; TEXTURE_STEPS: none */
    bool frozen, holds;
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
