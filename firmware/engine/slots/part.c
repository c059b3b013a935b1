/* The pieces of models, into a payload and out of it. */
#include "part.h"

size_t model_offset(const ModelPart *part, size_t piece) {
    size_t bytes = 0;
    for (size_t i = 0; i < piece; ++i) {
        bytes += model_padded(part->piece[i].bytes);
    }
    return bytes;
}

size_t model_bytes(const ModelPart *const *part, size_t parts) {
    size_t bytes = 0;
    for (size_t p = 0; p < parts; ++p) {
        bytes += model_offset(part[p], part[p]->pieces);
    }
    return bytes;
}

void model_take(const ModelPart *const *part, size_t parts, uint8_t *payload) {
    for (size_t p = 0; p < parts; ++p) {
        for (size_t i = 0; i < part[p]->pieces; ++i) {
            const ModelPiece *piece = &part[p]->piece[i];
            const size_t size = model_padded(piece->bytes);
            __builtin_memset(payload + size - MODEL_PIECE_BYTES, 0, MODEL_PIECE_BYTES);
            __builtin_memcpy(payload, piece->at, piece->bytes);
            payload += size;
        }
    }
}

void model_put(const ModelPart *const *part, size_t parts, const uint8_t *payload) {
    for (size_t p = 0; p < parts; ++p) {
        for (size_t i = 0; i < part[p]->pieces; ++i) {
            const ModelPiece *piece = &part[p]->piece[i];
            __builtin_memcpy(piece->at, payload, piece->bytes);
            payload += model_padded(piece->bytes);
        }
    }
}
