#pragma once

#include "daisy.h"

namespace daisy {

class DaisySeed {
  public:
    void Init(bool boost = false);
    void StartAudio(AudioHandle::AudioCallback cb);
    void SetAudioBlockSize(size_t blocksize);
    void SetLed(bool state);
    QSPIHandle qspi;
    AdcHandle adc;
    DacHandle dac;
};

} // namespace daisy
