/* Template of a kernel in a faster form: the same numbers as its plain form, to the bit.
 *
 * Copy it to firmware/engine/kernels/NAME_simd.c (x86, aarch64, WebAssembly: clang vectorises the loop of
 * rows.h) or write NAME_m7.c for the Cortex-M7. firmware.toolchain.kernel_sources picks files by these endings.
 */
#include "arith.h"
#include "rows.h"

void vk_template_gain_s16(int16_t gain, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                          size_t lanes);

void vk_template_gain_s16(int16_t gain, const int16_t *a, size_t a_step, int16_t *out, size_t out_step, size_t frames,
                          size_t lanes) {
    VK_ROWS_1(int16_t, int16_t, vk_sat16(((int32_t)x * gain + 16384) >> 15))
}
