/* Grains: places on a map of codes become pieces of sound, and grains of them a cloud at the pitch of a volt.
 *
 * A bank holds pieces of 4096 samples. One after the other is made anew in the background, a hop of 256 samples at a
 * time, in steps of about the same price: a code near the place that hands or the sound that comes in ask for, the
 * moment of a recording that belongs to it, and what a decoder makes of that at the pitch of now. A piece that sounds
 * is left alone until its grains are over. Grains begin by a clock of their own or by a gate; each takes the piece
 * nearest to its place, and starts where the pulses of the piece fall together with those of the pitch.
 */
#ifndef VAECTROL_INSTRUMENTS_GRAINS_H
#define VAECTROL_INSTRUMENTS_GRAINS_H

#include "../control/panel.h"
#include "../dsp/grains.h"
#include "outputs.h"
#include "texture.h" /* its two halves */

#ifdef __cplusplus
extern "C" {
#endif

#define GRAINS_AT_ONCE 16u
#define GRAINS_PIECES 24u /* more than can sound, so that one is always free */
#define GRAINS_BOOKS 4u
#define GRAINS_SEEKS 4u /* parts in which the nearest code is sought */

enum { GRAINS_FREEZE = 0, GRAINS_REDRAW, GRAINS_TRIGGER, GRAINS_GATES };
enum { GRAINS_OUT_GRAIN = 0 };
enum { GRAINS_OUT_X = 0, GRAINS_OUT_Y, GRAINS_OUT_CROWD }; /* volts */
enum { GRAINS_AUDIO_LEFT = 0, GRAINS_AUDIO_RIGHT };
enum {
    GRAINS_STAGE_KEEP = 0, /* the hop that was made */
    GRAINS_STAGE_HEAR,
    GRAINS_STAGE_ENCODE,
    GRAINS_STAGE_SEEK, /* the code nearest to what is heard */
    GRAINS_STAGE_AIM,  /* what is made next */
    GRAINS_STAGE_PULSES,
    GRAINS_STAGE_DECODE,
    GRAINS_STAGE_GAINS,
    GRAINS_STAGE_FRAME
};

/* A part of a stage: a piece of what the engine does itself, or so many ticks of a network. */
typedef struct GrainsStep {
    uint16_t due; /* samples after the hop began, rising, below 256 */
    uint8_t stage, part;
} GrainsStep;

/* Codes of latents, of which the first book's lie on a map; generated. */
typedef struct GrainsCodes {
    uint8_t side, bits; /* of the map: a power of two, and which */
    uint8_t books, latents;
    uint8_t lead, frames;    /* of a gesture, before it is kept and in all; 16 are kept */
    const float *book;       /* [books][side²][latents] */
    const uint16_t *gesture; /* [side²][frames][books] */
    const uint8_t *loudness; /* [side²][frames] how far below the loudest, sixteenths of a factor of e */
    const uint8_t *voicing;  /* [side²][frames] 0 … 255 */
} GrainsCodes;

typedef int16_t GrainsSound[VK_GRAIN_SIZE + 8u]; /* the last sample twice; lines of 16 bytes */

typedef struct GrainsSpec {
    const TextureEncoder *encoder; /* NULL: nothing is heard */
    const TextureDecoder *decoder;
    void *encoder_memory, *decoder_memory;
    const GrainsCodes *codes;
    GrainsSound *bank;                                          /* [GRAINS_PIECES] */
    int8_t x, y, spread, detail, density, length, jitter;       /* parameters */
    int8_t pitch, tune, fine, body, width, listen, gain, level; /* parameters */
    const GrainsStep *steps;                                    /* of a hop, in order */
    uint16_t count;                                             /* of them */
    OutputSpec outputs;
    const LatentSpec *layer; /* what happens to latents before the decoder has them; NULL: nothing */
    LatentMemory memory;
} GrainsSpec;

typedef struct GrainsPiece {
    float x, y;      /* of its code on the map, in codes */
    float octaves;   /* above 220 Hz, as it was made */
    float voicing;   /* mean */
    uint32_t speed;  /* of its pulses, 2^32 a period */
    uint32_t number; /* of the pieces made, 0: none */
    uint32_t draw;   /* of the hand's draws, to which it belongs */
    bool ready;
} GrainsPiece;

typedef struct Grains {
    const GrainsSpec *spec;
    vk_fft_roots roots;
    vk_ear_state ear;
    vk_source_state source;
    float arriving[VK_HOP], made[VK_HOP];
    float heard[VK_EAR_BANDS + 1u];
    float heard_latent[TEXTURE_LATENTS], latent[TEXTURE_LATENTS], control[3], numbers[TEXTURE_NUMBERS];
    float loudness;       /* of what is heard */
    float nearest;        /* squared, of the codes that were sought so far */
    uint16_t found, code; /* the nearest so far; that of the last hop */
    GrainsPiece piece[GRAINS_PIECES];
    vk_grain grain[GRAINS_AT_ONCE];
    uint8_t of[GRAINS_AT_ONCE]; /* the piece that each reads */
    uint8_t making, frame;      /* the piece that is made, and how much of its gesture is */
    uint16_t gesture;           /* its code */
    bool keeps;                 /* what is being made is kept */
    uint32_t made_pieces, begun, draw;
    uint32_t clock, due; /* of the next grain; 2^31 is a mean interval */
    uint32_t turn;       /* of the pitch, 2^32 a period */
    float x, y;          /* of the newest grain, 0 … 1 */
    float *left, *right; /* of the block */
    size_t now, drawn;   /* samples of the block that have passed, and that have their grains */
    float share;         /* of the block that has passed where something is done */
    uint16_t at, step;   /* samples into the hop; the next step */
    uint16_t pulse;      /* ticks left */
    bool frozen, holds;
} Grains;

void grains_init(Grains *grains, const GrainsSpec *spec);
void grains_reset(Grains *grains);
void grains_render(Grains *grains, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
