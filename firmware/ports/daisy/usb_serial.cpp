#include "usb_serial.h"

#include <stdint.h>
#include <string.h>

#include "module.h"

#if __has_include("usbd_cdc.h")
#include "usbd_cdc.h"
// libDaisy's CDC_Transmit_FS follows a pointer that is null until a computer has set the port up (and again after it
// was unplugged), which on this core is the first kilobyte of ITCM. sections.ld fills that kilobyte with ones: the
// transmitter then reads "busy" there and returns, where else it would write into our kernels.
static_assert(sizeof(USBD_CDC_HandleTypeDef) <= 1024, "the guard at the start of ITCM covers the handle");
#endif

namespace vaectrol {
namespace {

constexpr uint32_t kInBytes = 4096, kOutBytes = 8192;
constexpr size_t kPieceBytes = 511; // no multiple of 64: a full last packet would wait for an empty one after it

daisy::UsbHandle usb;
VAECTROL_COLD uint8_t in_ring[kInBytes];
volatile uint32_t in_written; // by the interrupt only
uint32_t in_read;             // by the main loop only
bool heard;                   // a computer has set the port up and spoken

VAECTROL_COLD char out_ring[kOutBytes];
uint32_t out_written, out_read;
uint8_t piece[2][kPieceBytes]; // one may still be with the controller
size_t piece_bytes;
unsigned filling;

void Receive(uint8_t *bytes, uint32_t *count) {
    for (uint32_t i = 0; i < *count; i++) {
        if (in_written - in_read == kInBytes) return; // a request this long is refused anyway
        in_ring[in_written % kInBytes] = bytes[i];
        in_written = in_written + 1;
    }
}

} // namespace

void StartUsbSerial() {
    usb.Init(daisy::UsbHandle::FS_INTERNAL);
    usb.SetReceiveCallback(Receive, daisy::UsbHandle::FS_INTERNAL);
}

size_t ReadUsbSerial(char *out, size_t size) {
    size_t count = 0;
    while (count < size && in_read != in_written) out[count++] = static_cast<char>(in_ring[in_read++ % kInBytes]);
    heard = heard || count > 0;
    return count;
}

bool SendUsbSerial(void *, const char *line, size_t length) {
    if (!heard || kOutBytes - (out_written - out_read) < length) return false;
    for (size_t i = 0; i < length; i++) out_ring[out_written++ % kOutBytes] = line[i];
    return true;
}

void FlushUsbSerial() {
    if (piece_bytes == 0)
        while (piece_bytes < kPieceBytes && out_read != out_written)
            piece[filling][piece_bytes++] = static_cast<uint8_t>(out_ring[out_read++ % kOutBytes]);
    if (piece_bytes == 0) return;
    const size_t bytes = piece_bytes % 64 == 0 ? piece_bytes - 1 : piece_bytes;
    if (usb.TransmitInternal(piece[filling], bytes) != daisy::UsbHandle::Result::OK) return; // still busy
    const uint8_t last = piece[filling][piece_bytes - 1];
    filling ^= 1u;
    piece[filling][0] = last; // the byte held back, where one was
    piece_bytes -= bytes;
}

} // namespace vaectrol
