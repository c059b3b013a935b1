// A Daisy module: starts everything, then serves USB, storage and lights for ever. Sound is made in audio.cpp.
#include "../../engine/port.h"
#include "../serial/protocol.h"
#include "audio.h"
#include "bench_counter.h"
#include "boot_copy.h"
#include "gates.h"
#include "identity.h"
#include "lights.h"
#include "load.h"
#include "module.h"
#include "storage.h"
#include "usb_serial.h"

namespace vaectrol {
namespace {

bool Reboot(void *, ProtocolReboot target) {
    using daisy::System;
    switch (target) {
    case PROTOCOL_REBOOT_APP: System::ResetToBootloader(System::BootloaderMode::DAISY_SKIP_TIMEOUT); break;
    case PROTOCOL_REBOOT_BOOTLOADER: System::ResetToBootloader(System::BootloaderMode::DAISY_INFINITE_TIMEOUT); break;
    case PROTOCOL_REBOOT_ROM: System::ResetToBootloader(System::BootloaderMode::STM); break;
    }
    return false; // still here: there is no such bootloader on this board
}

const ProtocolPort port = {
    nullptr,     BOARD_TRUE_RATE_HZ, &storage, storage_note, SendUsbSerial, ReadLoad, ReadCodes, Reboot,
#ifdef VAECTROL_BENCH
    bench_write,
#else
    nullptr,
#endif
};

VAECTROL_COLD Protocol protocol;

} // namespace

void Start() {
    InitModule(); // brings the SDRAM up, too
    boot_copy();
    StartCycleCounter();
    protocol_init(&protocol, &port);
    instrument_load(&storage);
    instrument_init(BOARD_TRUE_RATE_HZ);
    (void)instrument_idle(&storage); // what was saved is there before the first sound
    StartLights();
    StartGates();
    StartUsbSerial();
    StartAudio();
}

void Serve() {
    char bytes[64];
    const size_t count = ReadUsbSerial(bytes, sizeof bytes);
    const uint32_t now_ms = daisy::System::GetNow();
    protocol_receive(&protocol, bytes, count);
    protocol_idle(&protocol, now_ms);
    FlushUsbSerial();
    UpdateLights(now_ms);
}

} // namespace vaectrol

// The identity must survive --gc-sections.
extern "C" const char *vaectrol_identity() { return vaectrol::identity; }

#ifndef VAECTROL_DOUBLE // the test double drives Start and Serve itself
int main() {
    vaectrol::Start();
    for (;;) vaectrol::Serve();
}
#endif
