/* The loop of every element-by-element kernel: rows of lanes, one flat run where nothing lies between the rows.
 *
 * VK_ROWS_1(in, in_step, out, out_step, frames, lanes, EXPRESSION of x and c) and VK_ROWS_2 (of x, y and c).
 */
#ifndef VAECTROL_KERNELS_ROWS_H
#define VAECTROL_KERNELS_ROWS_H

#include "vk.h"

#define VK_ROWS_1(type_in, type_out, in, in_step, out, out_step, frames, lanes, expression)                       \
    do {                                                                                                           \
        size_t rows_ = (frames), n_ = (lanes);                                                                     \
        if ((in_step) == n_ && (out_step) == n_) {                                                                 \
            n_ *= rows_;                                                                                           \
            rows_ = rows_ ? 1u : 0u;                                                                               \
        }                                                                                                          \
        for (size_t t = 0; t < rows_; t++) {                                                                       \
            const type_in *a_ = (in) + t * (in_step);                                                              \
            type_out *out_ = (out) + t * (out_step);                                                               \
            for (size_t c = 0; c < n_; c++) {                                                                      \
                const type_in x = a_[c];                                                                           \
                out_[c] = (expression);                                                                            \
            }                                                                                                      \
        }                                                                                                          \
    } while (0)

#define VK_ROWS_2(type_in, type_out, a, a_step, b, b_step, out, out_step, frames, lanes, expression)              \
    do {                                                                                                           \
        size_t rows_ = (frames), n_ = (lanes);                                                                     \
        if ((a_step) == n_ && (b_step) == n_ && (out_step) == n_) {                                                \
            n_ *= rows_;                                                                                           \
            rows_ = rows_ ? 1u : 0u;                                                                               \
        }                                                                                                          \
        for (size_t t = 0; t < rows_; t++) {                                                                       \
            const type_in *a_ = (a) + t * (a_step), *b_ = (b) + t * (b_step);                                      \
            type_out *out_ = (out) + t * (out_step);                                                               \
            for (size_t c = 0; c < n_; c++) {                                                                      \
                const type_in x = a_[c], y = b_[c];                                                                \
                out_[c] = (expression);                                                                            \
            }                                                                                                      \
        }                                                                                                          \
    } while (0)

/* one operand with a row of parameters per channel: never flat */
#define VK_ROWS_C(type_in, type_out, in, in_step, out, out_step, frames, lanes, expression)                       \
    do {                                                                                                           \
        for (size_t t = 0; t < (frames); t++) {                                                                    \
            const type_in *a_ = (in) + t * (in_step);                                                              \
            type_out *out_ = (out) + t * (out_step);                                                               \
            for (size_t c = 0; c < (lanes); c++) {                                                                 \
                const type_in x = a_[c];                                                                           \
                out_[c] = (expression);                                                                            \
            }                                                                                                      \
        }                                                                                                          \
    } while (0)
#endif
