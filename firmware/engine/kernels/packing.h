/* How firmware/kernelgen/packing.py packs weights for this target; the address of one weight.
 *
 * Output channels come in blocks; a block holds all its runs, a run its taps, padded with zero weights.
 *   quad   (Cortex-M7)        block 4: two taps × two channels to a word, [c0k0 c1k0 c0k1 c1k1][c2k0 c3k0 c2k1 c3k1]:
 *                             SXTB16 gives channel 0's taps, SXTB16 ROR 8 channel 1's. Runs padded to 4 taps.
 *   pair8  (x86, WebAssembly) block 8: [c0k0 c0k1 c1k0 c1k1 …], two taps to each 32-bit sum (PMADDWD, i32x4.dot)
 *   lane8  (aarch64)          block 8: [c0k0 … c7k0][c0k1 … c7k1], one tap by lane (SMLAL)
 *   byte8  (int8 activations) block 8: [c0k0 c0k1 c0k2 c0k3][c1k0 …], four taps to each 32-bit sum (SDOT)
 */
#ifndef VAECTROL_KERNELS_PACKING_H
#define VAECTROL_KERNELS_PACKING_H

#include "vk.h"

#if defined(__ARM_ARCH_7EM__)
#define VK_BLOCK 4u
#define VK_RUN_TAPS 4u
#elif defined(__aarch64__)
#define VK_BLOCK 8u
#define VK_RUN_TAPS 2u
#define VK_LANE8 1
#else
#define VK_BLOCK 8u
#define VK_RUN_TAPS 2u
#endif

static inline size_t vk_round_up(size_t n, size_t unit) { return (n + unit - 1u) / unit * unit; }
/* taps per block that are stored: all runs, padded */
static inline size_t vk_stored_taps(const vk_conv *layer, size_t unit) {
    return layer->runs * vk_round_up(layer->run, unit);
}
/* Offset inside a block of tap k (counted over the padded runs) of channel c of the block. */
static inline size_t vk_weight_w8a16(size_t k, size_t c) {
#if VK_BLOCK == 4u
    return k / 2u * 8u + c / 2u * 4u + k % 2u * 2u + c % 2u;
#elif defined(VK_LANE8)
    return k * 8u + c;
#else
    return k / 2u * 16u + c * 2u + k % 2u;
#endif
}
static inline size_t vk_weight_w8a8(size_t k, size_t c) { return k / 4u * 32u + c * 4u + k % 4u; }
#endif
