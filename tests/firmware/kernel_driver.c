/* Reads kernel calls from stdin, makes them, writes the buffers back: see kernel_runner.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_table.h" /* generated: names[] and functions[] */

typedef void (*integers)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                         uintptr_t, uintptr_t, uintptr_t, uintptr_t);
typedef void (*one_float)(float, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                          uintptr_t, uintptr_t);
typedef void (*two_floats)(float, float, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                           uintptr_t);

static void get(void *to, size_t bytes) {
    if (fread(to, 1, bytes, stdin) != bytes) {
        exit(3);
    }
}

static uint32_t word(void) {
    uint32_t w;
    get(&w, sizeof w);
    return w;
}

int main(void) {
    const uint32_t calls = word();
    for (uint32_t i = 0; i < calls; i++) {
        const uint32_t function = word(), buffers = word();
        /* each buffer its own block, so that AddressSanitizer sees one byte too many */
        char *buffer[64];
        uint32_t bytes[64];
        for (uint32_t b = 0; b < buffers; b++) {
            bytes[b] = word();
            buffer[b] = malloc(bytes[b] ? bytes[b] : 1u);
            get(buffer[b], bytes[b]);
        }
        for (uint32_t n = word(); n; n--) { /* pointers inside buffers */
            const uint32_t b = word(), offset = word(), target = word();
            uintptr_t place; /* what stands there is added: a pointer into the buffer */
            memcpy(&place, buffer[b] + offset, sizeof place);
            place += (uintptr_t)buffer[target];
            memcpy(buffer[b] + offset, &place, sizeof place);
        }
        float f[2];
        const uint32_t floats = word();
        get(f, sizeof f);
        uintptr_t a[12] = {0};
        const uint32_t arguments = word();
        for (uint32_t n = 0; n < arguments; n++) {
            const uint32_t is_pointer = word(), value = word(), offset = word();
            a[n] = is_pointer ? (uintptr_t)(buffer[value] + offset) : (uintptr_t)(intptr_t)(int32_t)value;
        }
        const integers call = functions[function];
        if (floats == 0u) {
            call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]);
        } else if (floats == 1u) {
            ((one_float)call)(f[0], a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
        } else {
            ((two_floats)call)(f[0], f[1], a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
        }
        for (uint32_t b = 0; b < buffers; b++) {
            fwrite(buffer[b], 1, bytes[b], stdout);
            free(buffer[b]);
        }
    }
    return 0;
}
