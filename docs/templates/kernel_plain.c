/* Template of a kernel in its plain form: written as the definition reads, without tricks.
 *
 * Copy it to firmware/engine/kernels/NAME.c, or to NAME_plain.c when a faster form stands beside it. Say here
 * what the kernel computes, every rounding included: out = sat16((x·gain + 2^14) >> 15), rounded once, half up.
 * The same sentence belongs to its declaration in vk.h.
 */
#include "arith.h"

/* gain: Q15, so 32767 is just under 1. Rows of `lanes` numbers, a_step and out_step apart. */
void vk_template_gain_s16_plain(int16_t gain, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                                size_t frames, size_t lanes);

void vk_template_gain_s16_plain(int16_t gain, const int16_t *a, size_t a_step, int16_t *out, size_t out_step,
                                size_t frames, size_t lanes) {
    for (size_t t = 0; t < frames; t++) {
        for (size_t c = 0; c < lanes; c++) {
            const int32_t product = (int32_t)a[t * a_step + c] * gain; /* below 2^30: it cannot wrap */
            out[t * out_step + c] = vk_sat16((product + 16384) >> 15);
        }
    }
}
