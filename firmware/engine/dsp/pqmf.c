/* Cosine-modulated filter bank, both ways: polyphase filter and fast cosine transform.
 *
 * cos((2k+1)·pi/(2M)·(n - (L-1)/2) -+ (-1)^k·pi/4) is, up to signs, the DCT-IV basis at an index that folds n into
 * 0 … M-1 (Rothweiler 1983; the matrixing of MPEG-1 audio). Signs over n are in the window table, those over k are
 * + - - + + - - … on the subbands. Row i of the window is n = i·M … i·M + M-1; rows alternate between two foldings:
 *   even  r < M/2 → M/2-1-r,   r ≥ M/2 → r-M/2
 *   odd   r < M/2 → r+M/2,     r ≥ M/2 → 3M/2-1-r
 * The last 2·folds frames lie in a ring, each twice, a ring apart, so that from the newest on they lie in one piece;
 * the ring's position is the last float of the state. A spare row is there to be read, not used (fir4_m7.S).
 */
#include <stddef.h>

#include "dct4.h"
#include "vk_dsp.h"

/* Where rows of two parities begin: `even` the first that folds as an even one. */
typedef struct rows {
    const float *even_w, *odd_w, *even_x, *odd_x;
} rows;

static inline rows rows_of(const vk_pqmf *bank, const float *newest, size_t even, size_t r, size_t even_column,
                           size_t odd_column) {
    const size_t bands = bank->bands;
    return (rows){bank->window + even * bands + r, bank->window + (even ^ 1u) * bands + r,
                  newest + even * bands + even_column, newest + (even ^ 1u) * bands + odd_column};
}

/* acc[j] += sum of even rows, w[j]·x[±j], and of odd ones, alternating; width and directions are constants after
 * inlining */
static inline __attribute__((always_inline)) void add_rows(float *even_acc, float *odd_acc, rows at,
                                                           const vk_pqmf *bank, const ptrdiff_t even_dx,
                                                           const ptrdiff_t odd_dx, const ptrdiff_t width) {
    const size_t step = 2u * bank->bands;
    for (size_t i = bank->folds; i; i--) {
        for (ptrdiff_t j = 0; j < width; j++) {
            even_acc[j] += at.even_w[j] * at.even_x[j * even_dx];
        }
        for (ptrdiff_t j = 0; j < width; j++) {
            odd_acc[j] += at.odd_w[j] * at.odd_x[j * odd_dx];
        }
        at = (rows){at.even_w + step, at.odd_w + step, at.even_x + step, at.odd_x + step};
    }
}

#if defined(__ARM_ARCH_7EM__)
typedef void fir4(float out[4], const float *even_w, const float *odd_w, const float *even_x, const float *odd_x,
                  uint32_t pairs, uint32_t step_bytes);
fir4 vk_m7_fir4_down_up, vk_m7_fir4_up_down;

static inline void four_samples(const vk_pqmf *bank, rows at, int down_up, float *audio) {
    fir4 *const sum = down_up ? vk_m7_fir4_down_up : vk_m7_fir4_up_down;
    sum(audio, at.even_w, at.odd_w, at.even_x, at.odd_x, bank->folds, 8u * bank->bands);
}
#else
static inline void four_samples(const vk_pqmf *bank, rows at, int down_up, float *audio) {
    float acc[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (down_up) {
        add_rows(acc, acc, at, bank, -1, 1, 4);
    } else {
        add_rows(acc, acc, at, bank, 1, -1, 4);
    }
    for (size_t j = 0; j < 4u; j++) {
        audio[j] = acc[j];
    }
}
#endif

static inline float sigma(size_t k) { return ((k + 1u) >> 1) & 1u ? -1.0f : 1.0f; }

static inline size_t step_back(float *position, size_t frames) {
    const size_t now = (size_t)*position;
    const size_t next = now ? now - 1u : frames - 1u;
    *position = (float)next;
    return next;
}

static void synthesis_rows(const vk_pqmf *bank, const float *newest, float *audio) {
    const size_t bands = bank->bands, half = bands / 2u, even = bank->folds & 1u;
    const size_t width = bands >= 8u ? 4u : 1u;
    for (size_t r = 0; r < bands; r += width) {
        const int down_up = r < half;
        const rows at = down_up ? rows_of(bank, newest, even, r, half - 1u - r, half + r)
                                : rows_of(bank, newest, even, r, r - half, bands + half - 1u - r);
        if (width == 4u) {
            four_samples(bank, at, down_up, audio + r);
        } else {
            audio[r] = 0.0f;
            add_rows(audio + r, audio + r, at, bank, 1, 1, 1);
        }
    }
}

void vk_pqmf_synthesis(const vk_pqmf *bank, float *state, const float *subbands, size_t subbands_step, float *audio,
                       size_t frames) {
    const size_t bands = bank->bands, ring = 2u * (size_t)bank->folds;
    float *position = state + VK_PQMF_STATE(bands, bank->folds) - 1u;
    for (size_t t = 0; t < frames; t++, subbands += subbands_step, audio += bands) {
        float signed_subbands[DCT4_MAX];
        for (size_t k = 0; k < bands; k++) {
            signed_subbands[k] = subbands[k] * sigma(k);
        }
        float *newest = state + step_back(position, ring) * bands, *twin = newest + ring * bands;
        dct4(bank->twiddle, bands, signed_subbands, newest);
        for (size_t k = 0; k < bands; k++) {
            twin[k] = newest[k];
        }
        synthesis_rows(bank, newest, audio);
    }
}

static inline __attribute__((always_inline)) void analysis_rows(const vk_pqmf *bank, const float *newest, float *folded,
                                                                const size_t width) {
    const size_t bands = bank->bands, half = bands / 2u, even = (bank->folds & 1u) ^ 1u;
    for (size_t k = 0; k < bands; k++) {
        folded[k] = 0.0f;
    }
    for (size_t r = 0; r < bands; r += width) {
        /* row element r meets the sample that is r older than the frame's last */
        float a[4] = {0.0f, 0.0f, 0.0f, 0.0f}, b[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        add_rows(a, b, rows_of(bank, newest, even, r, bands - 1u - r, bands - 1u - r), bank, -1, -1, (ptrdiff_t)width);
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
    const size_t bands = bank->bands, ring = 2u * (size_t)bank->folds;
    float *position = state + VK_PQMF_STATE(bands, bank->folds) - 1u;
    for (size_t t = 0; t < frames; t++, audio += bands, subbands += subbands_step) {
        float *newest = state + step_back(position, ring) * bands, *twin = newest + ring * bands;
        for (size_t k = 0; k < bands; k++) {
            newest[k] = twin[k] = audio[k];
        }
        float folded[DCT4_MAX];
        if (bands >= 8u) {
            analysis_rows(bank, newest, folded, 4u);
        } else {
            analysis_rows(bank, newest, folded, 1u);
        }
        float transformed[DCT4_MAX];
        dct4(bank->twiddle, bands, folded, transformed);
        for (size_t k = 0; k < bands; k++) {
            subbands[k] = transformed[k] * sigma(k);
        }
    }
}
