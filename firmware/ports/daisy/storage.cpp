#include "storage.h"

#include <string.h>

#include "module.h"

namespace vaectrol {
namespace {

static_assert(BOARD_STORAGE_OFFSET % PORT_SECTOR_BYTES == 0, "storage starts on a sector");

constexpr uint32_t kModels = PORT_STORAGE_BYTES - PORT_MODELS_BYTES;

// Settings lie where they always did, at the end of the flash, and a sequence behind them; tables of latents lie below,
// and models below those.
uint32_t Offset(uint32_t address) {
    if (address < PORT_SETTINGS_BYTES) return BOARD_STORAGE_OFFSET + address;
    if (address < PORT_SETTINGS_BYTES + PORT_TABLES_BYTES)
        return BOARD_STORAGE_OFFSET - PORT_TABLES_BYTES + address - PORT_SETTINGS_BYTES;
    if (address < kModels) return BOARD_STORAGE_OFFSET + address - PORT_TABLES_BYTES;
    return BOARD_STORAGE_OFFSET - PORT_TABLES_BYTES - PORT_MODELS_BYTES + address - kModels;
}

bool Inside(uint32_t address, size_t bytes) {
    return address <= PORT_STORAGE_BYTES && bytes <= PORT_STORAGE_BYTES - address;
}

const uint8_t *Mapped(uint32_t address) { return static_cast<const uint8_t *>(module.qspi.GetData(Offset(address))); }

bool Read(void *, uint32_t address, void *data, size_t bytes) {
    if (!Inside(address, bytes)) return false;
    // The mapped flash is cached: what was erased or written since would be read as it was before. Whole lines,
    // since the cache knows nothing smaller; nothing is ever written through this window, so nothing gets lost.
    const uintptr_t first = reinterpret_cast<uintptr_t>(Mapped(address)) & ~uintptr_t{31};
    const uintptr_t end = (reinterpret_cast<uintptr_t>(Mapped(address)) + bytes + 31) & ~uintptr_t{31};
    dsy_dma_invalidate_cache_for_buffer(reinterpret_cast<uint8_t *>(first), end - first);
    memcpy(data, Mapped(address), bytes);
    return true;
}

#ifdef VAECTROL_BOOT_QSPI
// The program runs in the flash itself; erasing would stop it, and libDaisy refuses.
bool Erase(void *, uint32_t) { return false; }
bool Program(void *, uint32_t, const void *, size_t) { return false; }
#else
bool Erase(void *, uint32_t address) {
    if (!Inside(address, PORT_SECTOR_BYTES)) return false;
    const uint32_t at = Offset(address);
    return module.qspi.Erase(at, at + PORT_SECTOR_BYTES) == daisy::QSPIHandle::Result::OK;
}

bool Program(void *, uint32_t address, const void *data, size_t bytes) {
    if (!Inside(address, bytes)) return false;
    // libDaisy takes a pointer to what it will not change
    auto *from = static_cast<uint8_t *>(const_cast<void *>(data));
    return module.qspi.Write(Offset(address), bytes, from) == daisy::QSPIHandle::Result::OK;
}
#endif

} // namespace

const PortStorage storage = {nullptr, Read, Erase, Program};

#ifdef VAECTROL_BOOT_QSPI
const char *const storage_note = "this image runs from the flash and cannot write to it; calibrate and save presets "
                                 "with the sram image, this one reads them";
#else
const char *const storage_note = nullptr;
#endif

} // namespace vaectrol
