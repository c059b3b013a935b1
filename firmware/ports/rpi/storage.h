/* Calibration and presets in a file that behaves like flash: sectors of ones, bytes written in place, synced. */
#ifndef VAECTROL_PORTS_RPI_STORAGE_H
#define VAECTROL_PORTS_RPI_STORAGE_H

#include "../../engine/port.h"

/* Opens or makes the file; NULL when that fails (errno says why). */
const PortStorage *storage_open(const char *path);

#endif
