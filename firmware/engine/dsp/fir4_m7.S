/* The inner loop of the PQMF on a Cortex-M7: four neighbouring sums over pairs of rows.
 *
 * void NAME(float out[4], const float *even_w, const float *odd_w, const float *even_x, const float *odd_x,
 *           uint32_t pairs, uint32_t step_bytes);
 * Each line is meant to be one cycle: VMUL and VADD one a cycle, latency 3, each beside a load (docs/manuals/cortex-m7.md);
 * multiply and add apart, since VFMA takes longer and rounds differently. Reads one row beyond the last.
 */
    .syntax unified
    .thumb

    .macro row w, x, dx, next_w, next_x, next_dx
    vmul.f32 s8, s0, s4; add \w, \w, r6
    vmul.f32 s9, s1, s5; add \x, \x, r6
    vmul.f32 s10, s2, s6; vldr s0, [\next_w]
    vmul.f32 s11, s3, s7; vldr s4, [\next_x]
    vadd.f32 s12, s12, s8; vldr s1, [\next_w, #4]
    vadd.f32 s13, s13, s9; vldr s5, [\next_x, #\next_dx]
    vadd.f32 s14, s14, s10; vldr s2, [\next_w, #8]
    vadd.f32 s15, s15, s11; vldr s6, [\next_x, #2 * \next_dx]
    vldr s3, [\next_w, #12]
    .endm

    .macro fir4 name, even_dx, odd_dx
    .section .text.\name, "ax", %progbits
    .balign 8
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r7}
    ldr r4, [sp, #16]; ldr r5, [sp, #20]
    ldr r6, [sp, #24]; movs r7, #0
    vmov s12, r7
    vmov s13, r7
    vmov s14, r7
    vmov s15, r7
    vldr s0, [r1]; vldr s1, [r1, #4]
    vldr s2, [r1, #8]; vldr s3, [r1, #12]
    vldr s4, [r3]; vldr s5, [r3, #\even_dx]
    vldr s6, [r3, #2 * \even_dx]; vldr s7, [r3, #3 * \even_dx]
    .balign 8
1:
    row r1, r3, \even_dx, r2, r4, \odd_dx
    vldr s7, [r4, #3 * \odd_dx]; subs r5, r5, #1
    row r2, r4, \odd_dx, r1, r3, \even_dx
    vldr s7, [r3, #3 * \even_dx]; bne 1b
    vstm r0, {s12-s15}
    pop {r4-r7}
    bx lr
    .size \name, . - \name
    .endm

    fir4 vk_m7_fir4_down_up, -4, 4
    fir4 vk_m7_fir4_up_down, 4, -4
