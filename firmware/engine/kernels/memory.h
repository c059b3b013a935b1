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
#endif
