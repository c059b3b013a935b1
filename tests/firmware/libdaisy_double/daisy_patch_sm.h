#pragma once

#include "daisy.h"

namespace daisy {
namespace patch_sm {

class DaisyPatchSM {
  public:
    void Init();
    void StartAudio(AudioHandle::AudioCallback cb);
    void SetAudioBlockSize(size_t size);
    void WriteCvOut(const int channel, float voltage);
    void SetLed(bool state);
    QSPIHandle qspi;
    AdcHandle adc;
    DacHandle dac;
};

} // namespace patch_sm
} // namespace daisy
