/* The inner loops of the banded noise on a Cortex-M7: two products of int16 at a time.
 *
 * void vk_m7_fir4_s16(int32_t sum[4], const int16_t tap[128], const int16_t *even, const int16_t *odd);
 * Four neighbouring sums: sum[j] = sum over k of tap[k] · x[k + j]; even: x, odd: x from 1 on; all at whole words.
 *
 * void vk_m7_mix4_s16(int32_t sum[4], const int16_t *half, const int16_t *share, uint32_t bands);
 * Four taps of a mix: sum[j] += sum over b of half[b div 2][j][b mod 2] · share[b]; bands: a multiple of 4.
 *
 * Each line is meant to be one cycle: one SMLAD, beside a load whose value is used two cycles later at the earliest
 * (docs/manuals/cortex-m7.md). Both read a few elements beyond what they use.
 */
    .syntax unified
    .thumb

    .macro taps4
    smlad r4, r12, r8, r4; ldr lr, [r1, #4]
    smlad r5, r12, r9, r5; ldr r8, [r2, #8]!
    smlad r6, r12, r10, r6; ldr r9, [r3, #8]!
    smlad r7, r12, r11, r7; ldr r12, [r1, #8]!
    smlad r4, lr, r10, r4; ldr r10, [r2, #4]
    smlad r5, lr, r11, r5; ldr r11, [r3, #4]
    smlad r6, lr, r8, r6
    smlad r7, lr, r9, r7
    .endm

    .section .text.vk_m7_fir4_s16, "ax", %progbits
    .balign 8
    .global vk_m7_fir4_s16
    .type vk_m7_fir4_s16, %function
    .thumb_func
vk_m7_fir4_s16:
    push {r0, r4-r11, lr}
    ldr r8, [r2]; ldr r9, [r3]
    ldr r10, [r2, #4]; ldr r11, [r3, #4]
    ldr r12, [r1]; movs r4, #0
    movs r5, #0; movs r6, #0
    movs r7, #0; add r0, r1, #256
    .balign 8
1:
    taps4
    taps4
    taps4
    taps4
    cmp r1, r0
    bne 1b
    ldr r0, [sp]
    strd r4, r5, [r0]
    strd r6, r7, [r0, #8]
    pop {r0, r4-r11, pc}
    .size vk_m7_fir4_s16, . - vk_m7_fir4_s16

    .section .text.vk_m7_mix4_s16, "ax", %progbits
    .balign 8
    .global vk_m7_mix4_s16
    .type vk_m7_mix4_s16, %function
    .thumb_func
vk_m7_mix4_s16:
    push {r4-r11, lr}
    ldrd r4, r5, [r0]
    ldrd r6, r7, [r0, #8]
    ldr r8, [r1]; ldr r9, [r1, #4]
    ldr r12, [r2]; ldr r10, [r1, #8]
    .balign 8
1:
    smlad r4, r12, r8, r4; ldr r11, [r1, #12]
    smlad r5, r12, r9, r5; ldr r8, [r1, #16]!
    smlad r6, r12, r10, r6; ldr lr, [r2, #4]
    smlad r7, r12, r11, r7; ldr r9, [r1, #4]
    ldr r10, [r1, #8]; subs r3, r3, #4
    smlad r4, lr, r8, r4; ldr r11, [r1, #12]
    smlad r5, lr, r9, r5; ldr r8, [r1, #16]!
    smlad r6, lr, r10, r6; ldr r12, [r2, #8]!
    smlad r7, lr, r11, r7; ldr r9, [r1, #4]
    ldr r10, [r1, #8]; bne 1b
    strd r4, r5, [r0]
    strd r6, r7, [r0, #8]
    pop {r4-r11, pc}
    .size vk_m7_mix4_s16, . - vk_m7_mix4_s16
