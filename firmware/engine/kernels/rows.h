/* The loops of the element-by-element kernels: rows of lanes, one flat run where nothing lies between the rows.
 *
 * `expression` is one of x (and y) and of the lane's number c. On a Cortex-M7 int16 lanes go in pairs, a word at a
 * time, since a store of half a word takes up to four cycles (docs/manuals/cortex-m7.md):
 * `bulk` is the call that does `turns` times eight lanes from a_ (and b_) to out_; other processors never see it.
 */
#ifndef VAECTROL_KERNELS_ROWS_H
#define VAECTROL_KERNELS_ROWS_H

#include "memory.h"
#include "vk.h"

#if defined(__ARM_ARCH_7EM__)
#define VK_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define VK_ROLLED
#endif

/* the loop over one row, from lane c on */
#define VK_LANES_1(type_in, type_out, n, expression)                                                                   \
    VK_ROLLED for (; c < (n); c++) {                                                                                   \
        const type_in x = a_[c];                                                                                       \
        out_[c] = (type_out)(expression);                                                                              \
    }
#define VK_LANES_2(type, n, expression)                                                                                \
    VK_ROLLED for (; c < (n); c++) {                                                                                   \
        const type x = a_[c], y = b_[c];                                                                               \
        out_[c] = (type)(expression);                                                                                  \
    }

/* eight lanes a turn in assembly (rows_m7.S); the rest lane by lane */
#if defined(__ARM_ARCH_7EM__)
#define VK_TURNS(n, bulk)                                                                                              \
    const size_t turns = (n) / 8u;                                                                                     \
    if (turns) {                                                                                                       \
        bulk;                                                                                                          \
        c = 8u * turns;                                                                                                \
    }
#else
#define VK_TURNS(n, bulk)
#endif

#define VK_FLAT(same)                                                                                                  \
    size_t rows_ = frames, n_ = lanes;                                                                                 \
    if (same) {                                                                                                        \
        n_ *= rows_;                                                                                                   \
        rows_ = rows_ ? 1u : 0u;                                                                                       \
    }

/* one operand a; the arguments of the kernel are named a, a_step, out, out_step, frames, lanes */
#define VK_ROWS_1(type_in, type_out, expression)                                                                       \
    VK_FLAT(a_step == n_ && out_step == n_)                                                                            \
    for (size_t t = 0; t < rows_; t++) {                                                                               \
        const type_in *a_ = a + t * a_step;                                                                            \
        type_out *out_ = out + t * out_step;                                                                           \
        size_t c = 0;                                                                                                  \
        VK_LANES_1(type_in, type_out, n_, expression)                                                                  \
    }
#define VK_ROWS_1_S16(expression, bulk)                                                                                \
    VK_FLAT(a_step == n_ && out_step == n_)                                                                            \
    for (size_t t = 0; t < rows_; t++) {                                                                               \
        const int16_t *a_ = a + t * a_step;                                                                            \
        int16_t *out_ = out + t * out_step;                                                                            \
        size_t c = 0;                                                                                                  \
        VK_TURNS(n_, bulk)                                                                                             \
        VK_LANES_1(int16_t, int16_t, n_, expression)                                                                   \
    }
/* two operands a and b */
#define VK_ROWS_2(type, expression)                                                                                    \
    VK_FLAT(a_step == n_ && b_step == n_ && out_step == n_)                                                            \
    for (size_t t = 0; t < rows_; t++) {                                                                               \
        const type *a_ = a + t * a_step, *b_ = b + t * b_step;                                                         \
        type *out_ = out + t * out_step;                                                                               \
        size_t c = 0;                                                                                                  \
        VK_LANES_2(type, n_, expression)                                                                               \
    }
#define VK_ROWS_2_S16(expression, bulk)                                                                                \
    VK_FLAT(a_step == n_ && b_step == n_ && out_step == n_)                                                            \
    for (size_t t = 0; t < rows_; t++) {                                                                               \
        const int16_t *a_ = a + t * a_step, *b_ = b + t * b_step;                                                      \
        int16_t *out_ = out + t * out_step;                                                                            \
        size_t c = 0;                                                                                                  \
        VK_TURNS(n_, bulk)                                                                                             \
        VK_LANES_2(int16_t, n_, expression)                                                                            \
    }
/* one operand and parameters per channel: never flat */
#define VK_ROWS_C(type, expression)                                                                                    \
    for (size_t t = 0; t < frames; t++) {                                                                              \
        const type *a_ = a + t * a_step;                                                                               \
        type *out_ = out + t * out_step;                                                                               \
        size_t c = 0;                                                                                                  \
        VK_LANES_1(type, type, lanes, expression)                                                                      \
    }
#endif
