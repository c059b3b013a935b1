// USB serial: bytes from the computer into a ring, whole lines back.
#pragma once

#include <stddef.h>

namespace vaectrol {

void StartUsbSerial();
// Bytes that have arrived, at most `size` of them. Main loop.
size_t ReadUsbSerial(char *out, size_t size);
// One line, whole or not at all. Main loop; for the protocol.
bool SendUsbSerial(void *, const char *line, size_t length);
// Hands the next piece to the USB controller when it is free. Main loop.
void FlushUsbSerial();

} // namespace vaectrol
