/* Denormals are zero while an instrument renders on a desktop, as they are on the module; whoever called gets the
 * thread's floating-point control back as it was. */
#ifndef VAECTROL_PORTS_DENORMALS_H
#define VAECTROL_PORTS_DENORMALS_H

#include <stdint.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

static inline uint64_t flush_denormals(void) {
    uint64_t before = 0;
#if defined(__SSE__)
    before = _mm_getcsr();
    _mm_setcsr((unsigned)before | 0x8040u);
#elif defined(__aarch64__)
    __asm volatile("mrs %0, fpcr" : "=r"(before));
    __asm volatile("msr fpcr, %0" ::"r"(before | (1u << 24)));
#endif
    return before;
}

static inline void restore_denormals(uint64_t before) {
#if defined(__SSE__)
    _mm_setcsr((unsigned)before);
#elif defined(__aarch64__)
    __asm volatile("msr fpcr, %0" ::"r"(before));
#else
    (void)before;
#endif
}

#endif
