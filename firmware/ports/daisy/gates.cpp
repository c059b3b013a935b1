#include "gates.h"

#include "../../engine/control/gate_ring.h"
#include "module.h"

namespace vaectrol {
namespace {

constexpr size_t kButtonPolls = BOARD_GATE_POLL_HZ / 200; // 5 ms: longer than contacts bounce

GateRing ring;
daisy::TimerHandle timer;
daisy::GPIO gate_pins[BOARD_GATES_IN + 1]; // one more than there may be: C++ has no empty arrays
daisy::GPIO button_pins[BOARD_BUTTONS + 1];
daisy::GPIO gate_out_pins[BOARD_GATES_OUT + 1];
uint32_t polls;

// A button's level changes only after it has been another for a while.
struct Debounced {
    bool level;
    uint16_t other;
    bool Poll(bool now) {
        other = now == level ? 0 : static_cast<uint16_t>(other + 1);
        if (other >= kButtonPolls) {
            level = now;
            other = 0;
        }
        return level;
    }
} debounced[BOARD_BUTTONS + 1];

void Poll(void *) {
    uint32_t levels = 0;
    for (size_t i = 0; i < BOARD_GATES_IN; i++)
        levels |= static_cast<uint32_t>(gate_pins[i].Read() != board_gates_in[i].inverted) << i;
    for (size_t i = 0; i < BOARD_BUTTONS; i++)
        levels |= static_cast<uint32_t>(debounced[i].Poll(button_pins[i].Read() != board_buttons[i].inverted))
                  << (BOARD_GATES_IN + i);
    gate_ring_poll(&ring, levels);
    polls++;
}

} // namespace

void StartGates() {
    gate_ring_reset(&ring);
    for (size_t i = 0; i < BOARD_GATES_IN; i++) gate_pins[i].Init(PinOf(board_gates_in[i].pin));
    for (size_t i = 0; i < BOARD_BUTTONS; i++)
        button_pins[i].Init(PinOf(board_buttons[i].pin), daisy::GPIO::Mode::INPUT, daisy::GPIO::Pull::PULLUP);
    for (size_t i = 0; i < BOARD_GATES_OUT; i++)
        gate_out_pins[i].Init(PinOf(board_gates_out[i].pin), daisy::GPIO::Mode::OUTPUT);
    daisy::TimerHandle::Config config;
    config.periph = daisy::TimerHandle::Config::Peripheral::TIM_5;
    config.enable_irq = true;
    // here and not by SetPeriod: libDaisy preloads the period, so a later one would wait for the first to end, 18 s
    config.period = daisy::System::GetTickFreq() / BOARD_GATE_POLL_HZ - 1u;
    timer.Init(config);
    timer.SetCallback(Poll);
    // libDaisy gives the audio DMA the highest priority and its timers the lowest: polls would wait for the
    // whole audio callback. The poll takes a few hundred cycles, so it goes first and audio second.
    HAL_NVIC_SetPriority(DMA1_Stream0_IRQn, 1, 0);
    HAL_NVIC_SetPriority(DMA1_Stream1_IRQn, 1, 0);
    HAL_NVIC_SetPriority(TIM5_IRQn, 0, 0);
    timer.Start();
}

void TakeGates(uint32_t *gates, size_t ticks) { gate_ring_take(&ring, gates, ticks); }

void WriteGates(uint32_t gates) {
    for (size_t i = 0; i < BOARD_GATES_OUT; i++)
        gate_out_pins[i].Write(((gates >> i & 1u) != 0) != board_gates_out[i].inverted);
}

uint32_t GatePolls() { return polls; }

} // namespace vaectrol
