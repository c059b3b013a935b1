/* What a C compiler calls without being asked, where no C library is linked (emulated Cortex-M7, WebAssembly).
 *
 * Weak, so that a real library's versions win on the Daisy. Words where both sides allow it: windows are aligned.
 */
#include <stdint.h>

#include "memory.h"

/* may_alias: the bytes belong to objects of any type */
typedef uint32_t __attribute__((may_alias)) word;
/* without it clang would turn the loops into calls of the functions they are */
#define OWN_LOOP __attribute__((weak, no_builtin))

OWN_LOOP void *memmove(void *to, const void *from, size_t bytes) {
    char *y = to;
    const char *x = from;
    if ((uintptr_t)y <= (uintptr_t)x || (uintptr_t)y >= (uintptr_t)x + bytes) {
        if (!(((uintptr_t)x | (uintptr_t)y) & 3u)) {
            word *yw = to;
            const word *xw = from;
            for (; bytes >= 16u; bytes -= 16u, xw += 4, yw += 4) {
                const word a = xw[0], b = xw[1], c = xw[2], d = xw[3];
                yw[0] = a;
                yw[1] = b;
                yw[2] = c;
                yw[3] = d;
            }
            for (; bytes >= 4u; bytes -= 4u) {
                *yw++ = *xw++;
            }
            x = (const char *)xw;
            y = (char *)yw;
        }
        for (; bytes; bytes--) {
            *y++ = *x++;
        }
    } else {
        for (; bytes; bytes--) {
            y[bytes - 1u] = x[bytes - 1u];
        }
    }
    return to;
}

OWN_LOOP void *memcpy(void *restrict to, const void *restrict from, size_t bytes) { return memmove(to, from, bytes); }

OWN_LOOP void *memset(void *to, int value, size_t bytes) {
    char *y = to;
    const uint32_t wide = (uint32_t)(value & 255) * 0x01010101u;
    for (; bytes && ((uintptr_t)y & 3u); bytes--) {
        *y++ = (char)value;
    }
    word *w = (word *)(void *)y;
    for (; bytes >= 4u; bytes -= 4u) {
        *w++ = wide;
    }
    for (y = (char *)w; bytes; bytes--) {
        *y++ = (char)value;
    }
    return to;
}

#if defined(__arm__)
/* The names under which clang asks for the same on ARM (Run-time ABI for the Arm Architecture, 4.3.4). */
void __aeabi_memcpy(void *to, const void *from, size_t bytes);
void __aeabi_memcpy4(void *to, const void *from, size_t bytes);
void __aeabi_memcpy8(void *to, const void *from, size_t bytes);
void __aeabi_memmove(void *to, const void *from, size_t bytes);
void __aeabi_memmove4(void *to, const void *from, size_t bytes);
void __aeabi_memmove8(void *to, const void *from, size_t bytes);
void __aeabi_memset(void *to, size_t bytes, int value);
void __aeabi_memset4(void *to, size_t bytes, int value);
void __aeabi_memset8(void *to, size_t bytes, int value);
void __aeabi_memclr(void *to, size_t bytes);
void __aeabi_memclr4(void *to, size_t bytes);
void __aeabi_memclr8(void *to, size_t bytes);

#define COPY(name)                                                                                                     \
    OWN_LOOP void name(void *to, const void *from, size_t bytes) { memmove(to, from, bytes); }
#define FILL(name)                                                                                                     \
    OWN_LOOP void name(void *to, size_t bytes, int value) { memset(to, value, bytes); }
#define CLEAR(name)                                                                                                    \
    OWN_LOOP void name(void *to, size_t bytes) { memset(to, 0, bytes); }
COPY(__aeabi_memcpy)
COPY(__aeabi_memcpy4)
COPY(__aeabi_memcpy8)
COPY(__aeabi_memmove)
COPY(__aeabi_memmove4)
COPY(__aeabi_memmove8)
FILL(__aeabi_memset)
FILL(__aeabi_memset4)
FILL(__aeabi_memset8)
CLEAR(__aeabi_memclr)
CLEAR(__aeabi_memclr4)
CLEAR(__aeabi_memclr8)
#endif
