/* Two models of one shape become one: number by number. */
#include "part.h"

#define HALF (MODEL_WHOLE / 2)

/* Numbers of a payload: pieces begin at multiples of MODEL_PIECE_BYTES, so all lie as their types want it. */
static int32_t between(int32_t a, int32_t b, int32_t share) {
    return (int32_t)(a + ((((int64_t)b - a) * share + HALF) >> 8));
}
_Static_assert(MODEL_WHOLE == 1 << 8, "of the shift");

static void blend_bytes(int8_t *to, const int8_t *a, const int8_t *b, size_t count, int32_t share) {
    for (size_t i = 0; i < count; ++i) {
        to[i] = (int8_t)(a[i] + (((b[i] - a[i]) * share + HALF) >> 8));
    }
}

static void blend_halves(int16_t *to, const int16_t *a, const int16_t *b, size_t count, int32_t share) {
    for (size_t i = 0; i < count; ++i) {
        to[i] = (int16_t)(a[i] + (((b[i] - a[i]) * share + HALF) >> 8));
    }
}

static void blend_words(int32_t *to, const int32_t *a, const int32_t *b, size_t count, int32_t share) {
    for (size_t i = 0; i < count; ++i) {
        to[i] = between(a[i], b[i], share);
    }
}

static void blend_floats(float *to, const float *a, const float *b, size_t count, int32_t share) {
    const float part = (float)share * (1.0f / MODEL_WHOLE);
    for (size_t i = 0; i < count; ++i) {
        to[i] = a[i] + (b[i] - a[i]) * part;
    }
}

static void blend_piece(const ModelPiece *piece, const uint8_t *a, const uint8_t *b, int32_t share);

static void blend_records(const ModelPiece *piece, const uint8_t *a, const uint8_t *b, int32_t share) {
    uint8_t *to = piece->at;
    for (size_t at = 0; at + piece->record <= piece->bytes; at += piece->record) {
        const size_t last = at + piece->record - 8u;
        const ModelPiece fields[] = {
            {to + at, 8u, MODEL_WORDS, 0},
            {to + at + 8u, (uint32_t)(last - at - 8u), MODEL_HALVES, 0},
            {to + last, 8u, MODEL_WORDS, 0},
        };
        blend_piece(&fields[0], a + at, b + at, share);
        blend_piece(&fields[1], a + at + 8u, b + at + 8u, share);
        blend_piece(&fields[2], a + last, b + last, share);
    }
}

static void blend_piece(const ModelPiece *piece, const uint8_t *a, const uint8_t *b, int32_t share) {
    const void *from = a, *other = b;
    switch (piece->form) {
    case MODEL_BYTES: blend_bytes(piece->at, from, other, piece->bytes, share); break;
    case MODEL_HALVES: blend_halves(piece->at, from, other, piece->bytes / 2u, share); break;
    case MODEL_WORDS: blend_words(piece->at, from, other, piece->bytes / 4u, share); break;
    case MODEL_FLOATS:
        if (share == MODEL_WHOLE) { /* a + (b − a) may be a little beside b */
            __builtin_memcpy(piece->at, b, piece->bytes);
        } else {
            blend_floats(piece->at, from, other, piece->bytes / 4u, share);
        }
        break;
    case MODEL_RECORDS: blend_records(piece, a, b, share); break;
    default: __builtin_memcpy(piece->at, a, piece->bytes); break;
    }
}

void model_blend(const ModelPart *const *part, size_t parts, const uint8_t *a, const uint8_t *b, int32_t share) {
    for (size_t p = 0; p < parts; ++p) {
        for (size_t i = 0; i < part[p]->pieces; ++i) {
            const ModelPiece *piece = &part[p]->piece[i];
            blend_piece(piece, a, b, share);
            a += model_padded(piece->bytes);
            b += model_padded(piece->bytes);
        }
    }
}

static int64_t magnitude(int64_t value) { return value < 0 ? -value : value; }

/* Of each number the one that is farther from zero. */
static void take_larger(uint8_t *to, const uint8_t *a, const uint8_t *b, size_t bytes, size_t width) {
    for (size_t i = 0; i + width <= bytes; i += width) {
        int32_t one = 0, other = 0;
        if (width == 1u) {
            one = (int8_t)a[i];
            other = (int8_t)b[i];
        } else if (width == 2u) {
            int16_t halves[2];
            __builtin_memcpy(&halves[0], a + i, 2);
            __builtin_memcpy(&halves[1], b + i, 2);
            one = halves[0];
            other = halves[1];
        } else {
            __builtin_memcpy(&one, a + i, 4);
            __builtin_memcpy(&other, b + i, 4);
        }
        __builtin_memcpy(to + i, (magnitude(one) < magnitude(other) ? b : a) + i, width);
    }
}

static void take_larger_piece(const ModelPiece *piece, uint8_t *to, const uint8_t *a, const uint8_t *b) {
    static const uint8_t widths[] = {[MODEL_BYTES] = 1, [MODEL_HALVES] = 2, [MODEL_WORDS] = 4};
    __builtin_memcpy(to, a, piece->bytes);
    if (piece->form == MODEL_RECORDS) {
        for (size_t at = 0; at + piece->record <= piece->bytes; at += piece->record) {
            const size_t last = at + piece->record - 8u;
            take_larger(to + at, a + at, b + at, 8u, 4u);
            take_larger(to + at + 8u, a + at + 8u, b + at + 8u, last - at - 8u, 2u);
        }
    } else if (piece->form != MODEL_KEPT && piece->form != MODEL_FLOATS) {
        take_larger(to, a, b, piece->bytes, widths[piece->form]);
    }
}

static bool equal_words(const uint8_t *a, const uint8_t *b, size_t first, size_t bytes, size_t step) {
    for (size_t i = first; i + 4u <= bytes; i += step) {
        int32_t one, other;
        __builtin_memcpy(&one, a + i, 4);
        __builtin_memcpy(&other, b + i, 4);
        if (one != other) {
            return false;
        }
    }
    return true;
}

/* Shifts and spans cannot be mixed: they must agree. */
static bool agrees(const ModelPart *part, const ModelCheck *check, const uint8_t *a, const uint8_t *b) {
    const size_t piece = model_offset(part, check->piece), other = model_offset(part, check->other);
    if (check->kind == MODEL_FACTOR || check->kind == MODEL_BLEND || check->kind == MODEL_KNOTS) {
        return equal_words(a + piece, b + piece, 4u, part->piece[check->piece].bytes, 4u);
    }
    return check->kind < MODEL_LANES16 || equal_words(a + other, b + other, 8u, part->piece[check->other].bytes, 12u);
}

bool model_mixes(const ModelPart *const *part, size_t parts, const uint8_t *a, const uint8_t *b, uint8_t *work) {
    uint8_t *to = work;
    for (size_t p = 0; p < parts; ++p) {
        for (size_t i = 0; i < part[p]->checks; ++i) {
            if (!agrees(part[p], &part[p]->check[i], a, b)) {
                return false;
            }
        }
        for (size_t i = 0; i < part[p]->pieces; ++i) {
            const ModelPiece *piece = &part[p]->piece[i];
            const size_t bytes = model_padded(piece->bytes);
            take_larger_piece(piece, to, a, b);
            a += bytes;
            b += bytes;
            to += bytes;
        }
    }
    return model_holds(part, parts, work);
}
