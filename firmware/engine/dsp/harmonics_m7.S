/* The inner loop of the sum of harmonics on a Cortex-M7: six samples of Clenshaw's sum side by side.
 *
 * void vk_m7_harmonics_f32(float sum[48], const float twice[48], float *level, const float *slope, uint32_t pairs);
 * What firmware/engine/dsp/harmonics.c says in C for other processors; pairs: harmonics, an even number of them.
 *
 * Each line is meant to be one cycle, and what it says is used three cycles later at the earliest
 * (docs/manuals/cortex-m7.md). Of four lines the first ends a sample of this harmonic, the second moves the level on,
 * the third and fourth begin samples of the next harmonic; loads and stores go beside them.
 */
    .syntax unified
    .thumb

    /* older += from a product that was begun before; newer: of the harmonic above */
    .macro harmonic o0, o1, o2, o3, o4, o5, n0, n1, n2, n3, n4, n5, l, d, nl, nd, here, next
    vadd.f32 \o0, s18, \l; vldr \nl, [r2, #\next]
    vadd.f32 \l, \l, \d; vldr \nd, [r3, #\next]
    vmul.f32 s23, s5, \n5
    vsub.f32 s22, s22, \o4
    vadd.f32 \o1, s19, \l
    vadd.f32 \l, \l, \d
    vmul.f32 s18, s0, \o0
    vsub.f32 s23, s23, \o5
    vadd.f32 \o2, s20, \l
    vadd.f32 \l, \l, \d
    vmul.f32 s19, s1, \o1
    vsub.f32 s18, s18, \n0
    vadd.f32 \o3, s21, \l
    vadd.f32 \l, \l, \d
    vmul.f32 s20, s2, \o2
    vsub.f32 s19, s19, \n1
    vadd.f32 \o4, s22, \l
    vadd.f32 \l, \l, \d
    vmul.f32 s21, s3, \o3
    vsub.f32 s20, s20, \n2
    vadd.f32 \o5, s23, \l
    vadd.f32 \l, \l, \d
    vmul.f32 s22, s4, \o4
    vsub.f32 s21, s21, \n3; vstr \l, [r2, #\here]
    .endm

    .section .text.vk_m7_harmonics_f32, "ax", %progbits
    .balign 8
    .global vk_m7_harmonics_f32
    .type vk_m7_harmonics_f32, %function
    .thumb_func
vk_m7_harmonics_f32:
    push {r4-r7, lr}
    vpush {s16-s27}
    ldr r4, [sp, #68]
    movs r5, #8
    lsls r4, r4, #2
    movs r7, #0
1:  adds r2, r2, r4
    adds r3, r3, r4
    vldmia r1!, {s0-s5}
    vmov s6, r7; vmov s7, r7; vmov s8, r7; vmov s9, r7; vmov s10, r7; vmov s11, r7
    vmov s12, r7; vmov s13, r7; vmov s14, r7; vmov s15, r7; vmov s16, r7; vmov s17, r7
    movs r6, r4
    beq 3f
    vldr s24, [r2, #-4]; vldr s25, [r3, #-4]
    vmul.f32 s18, s0, s12
    vmul.f32 s19, s1, s13
    vmul.f32 s20, s2, s14
    vmul.f32 s21, s3, s15
    vmul.f32 s22, s4, s16
    vsub.f32 s18, s18, s6
    vsub.f32 s19, s19, s7
    vsub.f32 s20, s20, s8
    vsub.f32 s21, s21, s9
    .balign 8
2:
    harmonic s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16, s17, s24, s25, s26, s27, -4, -8
    harmonic s12, s13, s14, s15, s16, s17, s6, s7, s8, s9, s10, s11, s26, s27, s24, s25, -8, -12
    subs r2, #8; subs r3, #8
    subs r6, #8
    bne 2b
3:  vstmia r0!, {s12-s17}
    subs r5, #1
    bne 1b
    vpop {s16-s27}
    pop {r4-r7, pc}
    .size vk_m7_harmonics_f32, . - vk_m7_harmonics_f32
