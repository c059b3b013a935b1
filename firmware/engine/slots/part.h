/* What one model of a shape has otherwise than another: numbers, never pointers and never code.
 *
 * Generated sources say where theirs lie and what must hold for them (firmware/compiler/slots/part.py). A slot's payload
 * is all pieces of all parts, one after the other, each from a multiple of MODEL_PIECE_BYTES on.
 */
#ifndef VAECTROL_SLOTS_PART_H
#define VAECTROL_SLOTS_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_PIECE_BYTES 8u

/* What must hold for a piece. `reach`: largest magnitude of what its sums are multiplied by. */
enum {
    MODEL_ANY,     /* whatever its bits are, they do no harm */
    MODEL_FINITE,  /* floats, none beyond MODEL_MOST */
    MODEL_RISING,  /* the same, in ascending order */
    MODEL_UNIT,    /* floats of 0 … 1 */
    MODEL_SCALE,   /* floats by which something is divided or multiplied: MODEL_LEAST … MODEL_MOST */
    MODEL_FACTOR,  /* a vk_scale: reach·2^shift < 2^31 */
    MODEL_BLEND,   /* a vk_add of signals of at most size and reach */
    MODEL_KNOTS,   /* the numbers of a vk_table with `size` knots */
    MODEL_FIRST,   /* minus_first of a vk_joined */
    MODEL_STREAM,  /* rows in pairs of `size` bytes: two biases, weights, two multipliers */
    MODEL_LANES16, /* from here on: weights, `other` their vk_requant; `size` weights a row, in the order … */
    MODEL_QUAD,    /* … of kernels/packing.h */
    MODEL_PAIR8,
    MODEL_LANE8,
    MODEL_BYTE8,
    MODEL_DEPTHWISE, /* … [taps][size] */
    MODEL_QUAD_WIDE, /* … and sums of 64 bits */
    MODEL_PAIR8_WIDE,
    MODEL_LANE8_WIDE
};
#define MODEL_MOST 1048576.0f
#define MODEL_LEAST 1e-12f

/* What a piece is made of, so that two can be blended. */
enum {
    MODEL_KEPT, /* words that mean something as a whole: the first model's */
    MODEL_BYTES,
    MODEL_HALVES,
    MODEL_WORDS,
    MODEL_FLOATS,
    MODEL_RECORDS /* of `record` bytes: two words, halves, two words */
};

typedef struct ModelPiece {
    void *at;
    uint32_t bytes;
    uint16_t form, record;
} ModelPiece;

typedef struct ModelCheck {
    uint16_t kind, piece, other;
    uint32_t size, reach;
} ModelCheck;

typedef struct ModelPart {
    uint16_t pieces, checks;
    const ModelPiece *piece;
    const ModelCheck *check;
} ModelPart;

/* Of a piece in a payload. */
static inline size_t model_padded(size_t bytes) {
    return (bytes + MODEL_PIECE_BYTES - 1u) / MODEL_PIECE_BYTES * MODEL_PIECE_BYTES;
}
/* Where a piece begins in the payload of its part. */
size_t model_offset(const ModelPart *part, size_t piece);
/* Bytes of the payload that is made for these parts. */
size_t model_bytes(const ModelPart *const *part, size_t parts);
/* Out of the memory that the models play from, and into it. Payloads begin at a multiple of MODEL_PIECE_BYTES. */
void model_take(const ModelPart *const *part, size_t parts, uint8_t *payload);
void model_put(const ModelPart *const *part, size_t parts, const uint8_t *payload);
/* Whether all holds that the compiler proved of the model that was built in: no sum can overflow, no table be read
 * beyond its end, no float be anything but a number. */
bool model_holds(const ModelPart *const *part, size_t parts, const uint8_t *payload);

/* Two models of one shape, and all between them: a + (b − a)·share / MODEL_WHOLE, number by number, into the memory that
 * models play from. What is read meanwhile is some of one blend and some of the next. */
#define MODEL_WHOLE 256
void model_blend(const ModelPart *const *part, size_t parts, const uint8_t *a, const uint8_t *b, int32_t share);
/* Whether all holds for any mixture of the two, also one where each number has a share of its own. `work`: a payload. */
bool model_mixes(const ModelPart *const *part, size_t parts, const uint8_t *a, const uint8_t *b, uint8_t *work);

#ifdef __cplusplus
}
#endif
#endif
