// Calibration and presets in the QSPI flash, at the end, clear of every image.
#pragma once

#include "../../engine/port.h"

namespace vaectrol {

extern const PortStorage storage;
// Why nothing can be saved by this image, or nullptr.
extern const char *const storage_note;

} // namespace vaectrol
