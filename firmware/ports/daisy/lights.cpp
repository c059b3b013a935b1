#include "lights.h"

#include "../../engine/port.h"
#include "load.h"
#include "module.h"

namespace vaectrol {
namespace {

constexpr uint32_t kWellMs = 500, kBusyMs = 60;
constexpr float kBusy = 0.95f; // of a block, in the worst callback of late
constexpr uint32_t kLateShownMs = 2000;
constexpr float kLedVolts = 5.0f;

uint32_t seen_late, late_at_ms;
daisy::GPIO panel_leds[BOARD_LEDS]; // the first is on the module itself: libDaisy's SetLed

bool HasPin(size_t i) { return board_leds[i].pin.port != '-'; }

void Light(bool on) {
    module.SetLed(on);
    for (size_t i = 1; i < BOARD_LEDS; i++)
        if (HasPin(i)) panel_leds[i].Write(on);
}

} // namespace

void StartLights() {
    for (size_t i = 1; i < BOARD_LEDS; i++)
        if (HasPin(i)) panel_leds[i].Init(PinOf(board_leds[i].pin), daisy::GPIO::Mode::OUTPUT);
    Light(true);
}

void UpdateLights(uint32_t now_ms) {
    ProtocolLoad load;
    ReadLoad(nullptr, &load);
    if (load.late != seen_late) {
        seen_late = load.late;
        late_at_ms = now_ms;
    }
    const bool busy = load.worst > kBusy || (seen_late > 0 && now_ms - late_at_ms < kLateShownMs);
    Light(now_ms / (busy ? kBusyMs : kWellMs) % 2u == 0);
    // A light on a CV output shows the load as brightness, unless the instrument uses that output.
    for (size_t i = instrument_info()->cv_outs; i < BOARD_DACS; i++) WriteCvOut(i, kLedVolts * load.mean);
}

} // namespace vaectrol
