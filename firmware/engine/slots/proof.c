/* The compiler's proofs (firmware/compiler/judge), repeated for numbers that came over a wire. */
#include "part.h"

#define MOST_SUM INT32_MAX
#define MOST_WIDE_SUM ((int64_t)1 << 46) /* vk_requantize_wide is exact below 2^47 */
#define REQUANT_WORDS 3u
#define MOST_LANES 8u
#define MOST_FIRST 65536

/* Memory of a payload may begin anywhere in it: values are read by bytes. */
static float read_float(const uint8_t *at) {
    float value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

static int32_t read_word(const uint8_t *at) {
    int32_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

static int32_t read_half(const uint8_t *at) {
    int16_t value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

static int32_t magnitude(int32_t weight) { return weight < 0 ? -weight : weight; }

/* Comparisons with a NaN are false. */
static bool floats_hold(const uint8_t *at, size_t bytes, float low, float high, bool rising) {
    float before = low;
    for (size_t i = 0; i < bytes; i += sizeof(float)) {
        const float value = read_float(at + i);
        if (!(value >= low && value <= high && value >= before)) {
            return false;
        }
        before = rising ? value : low;
    }
    return true;
}

/* |Σ|·reach + |bias|, times 2^shift, is at most `most`. */
static bool sum_holds(int64_t weights, int64_t bias, int32_t shift, int64_t reach, int64_t most) {
    if (shift < 0 || shift > 30) {
        return false;
    }
    const int64_t total = weights * reach + (bias < 0 ? -bias : bias);
    return total <= most >> shift;
}

/* Which of a block's rows a weight belongs to, by its place in the block (firmware/kernelgen/packing.py). */
static size_t row_of(uint16_t kind, size_t place) {
    switch (kind) {
    case MODEL_QUAD:
    case MODEL_QUAD_WIDE: return (place >> 1 & 2u) | (place & 1u);
    case MODEL_PAIR8:
    case MODEL_PAIR8_WIDE: return place >> 1 & 7u;
    case MODEL_BYTE8: return place >> 2 & 7u;
    default: return place & 7u;
    }
}

static bool requant_holds(const ModelCheck *check, int64_t weights, const uint8_t *requant) {
    const bool wide = check->kind >= MODEL_QUAD_WIDE;
    return sum_holds(weights, read_word(requant), read_word(requant + 8), check->reach,
                     wide ? MOST_WIDE_SUM : MOST_SUM);
}

/* Blocks of rows whose weights alternate; pieces that end earlier than their rows hold nothing beyond. */
static bool blocks_hold(const ModelCheck *check, const uint8_t *weights, size_t count, const uint8_t *requant,
                        size_t rows) {
    const size_t lanes = check->kind == MODEL_QUAD || check->kind == MODEL_QUAD_WIDE ? 4u : MOST_LANES;
    const size_t block = check->size * lanes;
    for (size_t first = 0; first * check->size < count && first < rows; first += lanes) {
        int64_t sum[MOST_LANES] = {0};
        const size_t begin = first * check->size, left = count - begin;
        for (size_t i = 0; i < (left < block ? left : block); ++i) {
            const int32_t weight = check->kind == MODEL_LANES16 ? read_half(weights + 2u * (begin + i))
                                                                : (int8_t)weights[begin + i];
            sum[row_of(check->kind, i)] += magnitude(weight);
        }
        for (size_t row = 0; row < lanes && first + row < rows; ++row) {
            if (!requant_holds(check, sum[row], requant + (first + row) * REQUANT_WORDS * 4u)) {
                return false;
            }
        }
    }
    return true;
}

static bool depthwise_holds(const ModelCheck *check, const uint8_t *weights, size_t count, const uint8_t *requant,
                            size_t rows) {
    for (size_t row = 0; row < rows; ++row) {
        int64_t sum = 0;
        for (size_t i = row; i < count; i += check->size) {
            sum += magnitude((int8_t)weights[i]);
        }
        if (!requant_holds(check, sum, requant + row * REQUANT_WORDS * 4u)) {
            return false;
        }
    }
    return true;
}

/* Pairs of rows: two biases, steps of two weights of one and two of the other, two multipliers; zeros end it. */
static bool stream_holds(const ModelCheck *check, const uint8_t *at, size_t bytes) {
    for (; bytes >= check->size && check->size > 16u; at += check->size, bytes -= check->size) {
        for (size_t row = 0; row < 2; ++row) {
            int64_t sum = 0;
            for (size_t i = 8u + 4u * row; i + 4u <= check->size - 8u; i += 8u) {
                sum += magnitude(read_half(at + i)) + magnitude(read_half(at + i + 2));
            }
            if (!sum_holds(sum, read_word(at + 4u * row), 0, check->reach, MOST_SUM)) {
                return false;
            }
        }
    }
    return true;
}

static bool blend_holds(const ModelCheck *check, const uint8_t *at) {
    const int32_t shift = read_word(at + 4);
    if (shift < 1 || shift > 30) {
        return false;
    }
    const int64_t total = (int64_t)magnitude(read_half(at)) * check->size +
                          (int64_t)magnitude(read_half(at + 2)) * check->reach + ((int64_t)1 << shift >> 1);
    return total <= MOST_SUM;
}

static bool knots_hold(const ModelCheck *check, const uint8_t *at) {
    const int32_t first = read_word(at), span = read_word(at + 4), shift = read_word(at + 8);
    return first >= -MOST_FIRST && first <= MOST_FIRST && span >= 0 && shift >= 0 && shift <= 7 &&
           (uint32_t)(span >> shift) + 2u <= check->size;
}

static bool check_holds(const ModelPart *part, const ModelCheck *check, const uint8_t *at, const uint8_t *other) {
    const size_t bytes = part->piece[check->piece].bytes;
    const size_t rows = part->piece[check->other].bytes / (REQUANT_WORDS * 4u);
    switch (check->kind) {
    case MODEL_ANY: return true;
    case MODEL_FINITE: return floats_hold(at, bytes, -MODEL_MOST, MODEL_MOST, false);
    case MODEL_RISING: return floats_hold(at, bytes, -MODEL_MOST, MODEL_MOST, true);
    case MODEL_UNIT: return floats_hold(at, bytes, 0.0f, 1.0f, false);
    case MODEL_SCALE: return floats_hold(at, bytes, MODEL_LEAST, MODEL_MOST, false);
    case MODEL_FACTOR: return sum_holds(1, 0, read_word(at + 4), check->reach, MOST_SUM);
    case MODEL_BLEND: return blend_holds(check, at);
    case MODEL_KNOTS: return knots_hold(check, at);
    case MODEL_FIRST: return read_word(at) >= -MOST_FIRST && read_word(at) <= MOST_FIRST;
    case MODEL_STREAM: return stream_holds(check, at, bytes);
    case MODEL_DEPTHWISE: return depthwise_holds(check, at, bytes, other, rows);
    case MODEL_LANES16: return blocks_hold(check, at, bytes / 2u, other, rows);
    default: return blocks_hold(check, at, bytes, other, rows);
    }
}

bool model_holds(const ModelPart *const *part, size_t parts, const uint8_t *payload) {
    for (size_t p = 0; p < parts; ++p) {
        for (size_t i = 0; i < part[p]->checks; ++i) {
            const ModelCheck *check = &part[p]->check[i];
            const uint8_t *at = payload + model_offset(part[p], check->piece);
            const uint8_t *other = payload + model_offset(part[p], check->other);
            if (!check_holds(part[p], check, at, other)) {
                return false;
            }
        }
        payload += model_bytes(&part[p], 1);
    }
    return true;
}
