/* A flash that loses power after `left` bytes, the byte it dies on left half-written. For shims; one file includes it. */
#include <string.h>

#include "port.h"

static uint8_t flash[PORT_STORAGE_BYTES], image[PORT_STORAGE_BYTES]; /* image: for a test that begins again */
static uint32_t left, dirt, broken;

static uint8_t noise(void) {
    dirt = dirt * 1664525u + 1013904223u;
    return (uint8_t)(dirt >> 24);
}
static bool flash_read(void *context, uint32_t address, void *data, size_t bytes) {
    (void)context;
    memcpy(data, flash + address, bytes);
    return true;
}
static bool flash_erase(void *context, uint32_t address) {
    (void)context;
    const uint32_t whole = left < PORT_SECTOR_BYTES ? left : PORT_SECTOR_BYTES;
    memset(flash + address, 0xFF, whole);
    left -= whole;
    if (whole < PORT_SECTOR_BYTES) {
        flash[address + whole] |= noise();
    }
    return whole == PORT_SECTOR_BYTES && !broken;
}
static bool flash_program(void *context, uint32_t address, const void *data, size_t bytes) {
    (void)context;
    const uint8_t *from = data;
    const size_t whole = left < bytes ? left : bytes;
    for (size_t i = 0; i < whole; ++i) {
        flash[address + i] &= from[i];
    }
    left -= (uint32_t)whole;
    if (whole < bytes) {
        flash[address + whole] &= from[whole] | noise();
    }
    return whole == bytes && !broken;
}
static const PortStorage storage = {NULL, flash_read, flash_erase, flash_program};
