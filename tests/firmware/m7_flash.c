/* A flash in memory for the emulated module: bits only fall when programmed, and rise when erased. */
#include "port.h"

__attribute__((section(".sdram_bss.m7_flash"))) uint8_t m7_flash[PORT_STORAGE_BYTES];

static bool flash_read(void *context, uint32_t address, void *data, size_t bytes) {
    (void)context;
    __builtin_memcpy(data, m7_flash + address, bytes);
    return true;
}

static bool flash_erase(void *context, uint32_t address) {
    (void)context;
    __builtin_memset(m7_flash + address, 0xFF, PORT_SECTOR_BYTES);
    return true;
}

static bool flash_program(void *context, uint32_t address, const void *data, size_t bytes) {
    (void)context;
    for (size_t i = 0; i < bytes; ++i) {
        m7_flash[address + i] &= ((const uint8_t *)data)[i];
    }
    return true;
}

static const PortStorage storage = {.read = flash_read, .erase = flash_erase, .program = flash_program};

/* Where a test writes a slot file. */
__attribute__((section(".sdram_bss.m7_file"))) uint8_t m7_file[PORT_MODEL_SECTORS * PORT_SECTOR_BYTES];

void m7_load(void) { instrument_load(&storage); }

const char *m7_idle(void) { return instrument_idle(&storage); }

/* A file of `head` bytes and a payload behind it, into a slot. NULL, or why not. */
const char *m7_send(uint32_t slot, uint32_t head, uint32_t bytes) {
    const char *why = instrument_model_begin(&storage, (uint8_t)slot, m7_file, head);
    why = why != NULL ? why : instrument_model_data(&storage, 0, m7_file + head, bytes);
    return why != NULL ? why : instrument_model_commit(&storage);
}

/* 256·the slot that the last preset names, and the slot that plays. */
uint32_t m7_named(void) {
    PortReport report;
    PortModels models;
    instrument_report(&report);
    instrument_models(&models);
    return 256u * report.preset_slot + models.playing;
}
