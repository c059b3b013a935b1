/* Cosine-modulated filter bank, both ways: polyphase filter and fast cosine transform.
 *
 * cos((2k+1)·pi/(2M)·(n - (L-1)/2) -+ (-1)^k·pi/4) is, up to signs, the DCT-IV basis at an index that folds n into
 * 0 … M-1 (Rothweiler 1983; the matrixing of MPEG-1 audio). Signs over n are in the window table, those over k are
 * + - - + + - - … on the subbands. Row i of the window is n = i·M … i·M + M-1; rows alternate between two foldings:
 *   even  r < M/2 → M/2-1-r,   r ≥ M/2 → r-M/2
 *   odd   r < M/2 → r+M/2,     r ≥ M/2 → 3M/2-1-r
 * The last 2·folds frames lie in a ring; its position is the last float of the state.
 */
#include "dct4.h"
#include "vk_dsp.h"

/* acc[j] += sum over the rows of one parity of w[row][j]·ring[that frame][±j]; width is a constant after inlining */
static inline __attribute__((always_inline)) void add_rows(float *acc, const float *w, const float *ring, size_t newest,
                                                           size_t frames, size_t parity, size_t bands, int descending,
                                                           const size_t width) {
    for (size_t i = parity; i < frames; i += 2u) {
        size_t slot = newest + i;
        if (slot >= frames) {
            slot -= frames;
        }
        const float *h = ring + slot * bands, *row = w + i * bands;
        if (descending) {
            for (size_t j = 0; j < width; j++) {
                acc[j] += row[j] * *(h - j);
            }
        } else {
            for (size_t j = 0; j < width; j++) {
                acc[j] += row[j] * h[j];
            }
        }
    }
}

static inline float sigma(size_t k) {
    return ((k + 1u) >> 1) & 1u ? -1.0f : 1.0f;
}

static inline size_t step_back(float *position, size_t frames) {
    const size_t now = (size_t)*position;
    const size_t next = now ? now - 1u : frames - 1u;
    *position = (float)next;
    return next;
}

static inline __attribute__((always_inline)) void synthesis_rows(const vk_pqmf *bank, const float *ring, size_t newest,
                                                                 float *audio, const size_t width) {
    const size_t bands = bank->bands, half = bands / 2u, frames = 2u * (size_t)bank->folds;
    const size_t even = bank->folds & 1u; /* first row that folds as an even one */
    for (size_t r = 0; r < bands; r += width) {
        float acc[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        const float *w = bank->window + r;
        if (r < half) {
            add_rows(acc, w, ring + (half - 1u - r), newest, frames, even, bands, 1, width);
            add_rows(acc, w, ring + (half + r), newest, frames, even ^ 1u, bands, 0, width);
        } else {
            add_rows(acc, w, ring + (r - half), newest, frames, even, bands, 0, width);
            add_rows(acc, w, ring + (bands + half - 1u - r), newest, frames, even ^ 1u, bands, 1, width);
        }
        for (size_t j = 0; j < width; j++) {
            audio[r + j] = acc[j];
        }
    }
}

void vk_pqmf_synthesis(const vk_pqmf *bank, float *state, const float *subbands, size_t subbands_step, float *audio,
                       size_t frames) {
    const size_t bands = bank->bands, rows = 2u * (size_t)bank->folds;
    float *position = state + rows * bands;
    for (size_t t = 0; t < frames; t++, subbands += subbands_step, audio += bands) {
        float signed_subbands[DCT4_MAX];
        for (size_t k = 0; k < bands; k++) {
            signed_subbands[k] = subbands[k] * sigma(k);
        }
        const size_t newest = step_back(position, rows);
        dct4(bank->twiddle, bands, signed_subbands, state + newest * bands);
        if (bands >= 8u) {
            synthesis_rows(bank, state, newest, audio, 4u);
        } else {
            synthesis_rows(bank, state, newest, audio, 1u);
        }
    }
}

static inline __attribute__((always_inline)) void analysis_rows(const vk_pqmf *bank, const float *ring, size_t newest,
                                                                float *folded, const size_t width) {
    const size_t bands = bank->bands, half = bands / 2u, frames = 2u * (size_t)bank->folds;
    const size_t even = (bank->folds & 1u) ^ 1u;
    for (size_t k = 0; k < bands; k++) {
        folded[k] = 0.0f;
    }
    for (size_t r = 0; r < bands; r += width) {
        /* row element r meets the sample that is r older than the frame's last */
        const float *w = bank->window + r, *newest_sample = ring + (bands - 1u - r);
        float a[4] = {0.0f, 0.0f, 0.0f, 0.0f}, b[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        add_rows(a, w, newest_sample, newest, frames, even, bands, 1, width);
        add_rows(b, w, newest_sample, newest, frames, even ^ 1u, bands, 1, width);
        for (size_t j = 0; j < width; j++) {
            const size_t s = r + j;
            if (s < half) {
                folded[half - 1u - s] += a[j];
                folded[half + s] += b[j];
            } else {
                folded[s - half] += a[j];
                folded[bands + half - 1u - s] += b[j];
            }
        }
    }
}

void vk_pqmf_analysis(const vk_pqmf *bank, float *state, const float *audio, float *subbands, size_t subbands_step,
                      size_t frames) {
    const size_t bands = bank->bands, rows = 2u * (size_t)bank->folds;
    float *position = state + rows * bands;
    for (size_t t = 0; t < frames; t++, audio += bands, subbands += subbands_step) {
        const size_t newest = step_back(position, rows);
        for (size_t k = 0; k < bands; k++) {
            state[newest * bands + k] = audio[k];
        }
        float folded[DCT4_MAX];
        if (bands >= 8u) {
            analysis_rows(bank, state, newest, folded, 4u);
        } else {
            analysis_rows(bank, state, newest, folded, 1u);
        }
        float transformed[DCT4_MAX];
        dct4(bank->twiddle, bands, folded, transformed);
        for (size_t k = 0; k < bands; k++) {
            subbands[k] = transformed[k] * sigma(k);
        }
    }
}
