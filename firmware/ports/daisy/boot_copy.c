#include "boot_copy.h"

#include <stdint.h>
#include <string.h>

/* One row per region that sections.ld fills at boot: where its bytes wait in the image, where they go. */
typedef struct CopyRow {
    const uint8_t *load;
    uint8_t *start, *end;
} CopyRow;

typedef struct ZeroRow {
    uint8_t *start, *end;
} ZeroRow;

extern const uint8_t vx_itcm_load[], vx_dtcm_load[], vx_axi_load[], vx_d2_load[], vx_sdram_load[];
extern uint8_t vx_itcm_start[], vx_itcm_end[], vx_dtcm_start[], vx_dtcm_end[], vx_axi_start[], vx_axi_end[];
extern uint8_t vx_d2_start[], vx_d2_end[], vx_sdram_start[], vx_sdram_end[];
extern uint8_t vx_axi_zero_start[], vx_axi_zero_end[], vx_d2_zero_start[], vx_d2_zero_end[];
extern uint8_t vx_sdram_zero_start[], vx_sdram_zero_end[];
extern uint8_t vx_guard_start[], vx_guard_end[];

void boot_copy(void) {
    const CopyRow copies[] = {
        {vx_itcm_load, vx_itcm_start, vx_itcm_end},    {vx_dtcm_load, vx_dtcm_start, vx_dtcm_end},
        {vx_axi_load, vx_axi_start, vx_axi_end},       {vx_d2_load, vx_d2_start, vx_d2_end},
        {vx_sdram_load, vx_sdram_start, vx_sdram_end},
    };
    const ZeroRow zeros[] = {
        {vx_axi_zero_start, vx_axi_zero_end},
        {vx_d2_zero_start, vx_d2_zero_end},
        {vx_sdram_zero_start, vx_sdram_zero_end},
    };
    for (unsigned i = 0; i < sizeof copies / sizeof copies[0]; i++)
        if (copies[i].load != copies[i].start) /* already in place, as AXI is in an SRAM image */
            memcpy(copies[i].start, copies[i].load, (size_t)(copies[i].end - copies[i].start));
    for (unsigned i = 0; i < sizeof zeros / sizeof zeros[0]; i++)
        memset(zeros[i].start, 0, (size_t)(zeros[i].end - zeros[i].start));
    /* byte by byte: the guard lies at address 0, where a compiler may take memset for a mistake */
    for (volatile uint8_t *at = vx_guard_start; at != vx_guard_end; at++) *at = 0xFF; /* see usb_serial.cpp */
#ifdef __arm__
    /* Written as data, fetched as instructions: both must see the same. */
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
}
