/* memcpy, memmove and memset, with or without a C library (freestanding.c defines them where there is none). */
#ifndef VAECTROL_KERNELS_MEMORY_H
#define VAECTROL_KERNELS_MEMORY_H

#if __STDC_HOSTED__
#include <string.h>
#else
#include <stddef.h>
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
#endif

#include <stdint.h>

/* One word from or to any address: a plain LDR or STR on a Cortex-M7, which needs no alignment for these. */
static inline uint32_t vk_load_word(const void *from) {
    uint32_t word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}
static inline void vk_store_word(void *to, uint32_t word) { __builtin_memcpy(to, &word, sizeof word); }
#endif
