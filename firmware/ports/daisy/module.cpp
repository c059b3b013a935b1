#include "module.h"

namespace vaectrol {

// Peripheral state and DMA descriptors live inside; one per image, as in every libDaisy program.
DaisyModule module;

#ifdef BOARD_CLASS_DAISYPATCHSM

void InitModule() {
    module.Init(); // 480 MHz, ADC and DAC running
    module.SetAudioBlockSize(BOARD_BLOCK);
}

// libDaisy cuts codes; half a code more rounds them.
void WriteCvOut(size_t i, float volts) {
    module.WriteCvOut(board_dacs[i].index, volts + 0.5f / board_dacs[i].codes_per_volt);
}

#else

void InitModule() {
    module.Init(true); // boosted to 480 MHz
    module.SetAudioBlockSize(BOARD_BLOCK);
    daisy::AdcChannelConfig channels[BOARD_INPUTS];
    for (const BoardInput &input : board_inputs) channels[input.index].InitSingle(PinOf(input.pin));
    module.adc.Init(channels, BOARD_INPUTS);
    module.adc.Start();
    daisy::DacHandle::Config dac = {};
    dac.chn = daisy::DacHandle::Channel::BOTH;
    dac.mode = daisy::DacHandle::Mode::POLLING;
    dac.bitdepth = daisy::DacHandle::BitDepth::BITS_12;
    dac.buff_state = daisy::DacHandle::BufferState::ENABLED;
    module.dac.Init(dac);
}

void WriteCvOut(size_t i, float volts) {
    const BoardDac &dac = board_dacs[i];
    float code = volts * dac.codes_per_volt + 0.5f;
    code = code < 0.0f ? 0.0f : code;
    code = code > static_cast<float>(dac.full_code) ? static_cast<float>(dac.full_code) : code;
    module.dac.WriteValue(dac.index == 1 ? daisy::DacHandle::Channel::ONE : daisy::DacHandle::Channel::TWO,
                          static_cast<uint16_t>(code));
}

#endif

} // namespace vaectrol
