/* Where the module's settings lie.
 *
 * The interface's own examples reach them through the table of addresses that the loader makes, by two relocations
 * that arm-none-eabi-g++ writes and clang does not; so the same is asked for in assembly.
 */
#include "host.h"

#if defined(__arm__)
__attribute__((naked)) const NtGlobals *nt_globals(void) {
    __asm volatile("ldr r1, 1f\n"
                   "ldr r0, 2f\n"
                   "0: add r1, pc\n"
                   "ldr r0, [r1, r0]\n"
                   "bx lr\n"
                   ".p2align 2\n"
                   "1: .word _GLOBAL_OFFSET_TABLE_ - (0b + 4)\n"
                   "2: .word NT_globals(GOT)\n");
}
#else
const NtGlobals *nt_globals(void) { return &NT_globals; }
#endif
