// A test double of the libDaisy v8 classes that the Daisy port uses: same names, same signatures, made of memory.
// Written from the library's documented interface; it keeps the traps that matter (see double.cpp).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "stm32h7xx.h"

namespace daisy {

enum GPIOPort { PORTA, PORTB, PORTC, PORTD, PORTE, PORTF, PORTG, PORTH, PORTI, PORTJ, PORTK, PORTX };

struct Pin {
    GPIOPort port;
    uint8_t pin;
    constexpr Pin() : port(PORTX), pin(255) {}
    constexpr Pin(const GPIOPort p, uint8_t n) : port(p), pin(n) {}
};

class GPIO {
  public:
    enum class Mode { INPUT, OUTPUT, OPEN_DRAIN, ANALOG };
    enum class Pull { NOPULL, PULLUP, PULLDOWN };
    void Init(Pin p, Mode m = Mode::INPUT, Pull pu = Pull::NOPULL);
    bool Read();
    void Write(bool state);

  private:
    Pin pin_;
};

class TimerHandle {
  public:
    struct Config {
        enum class Peripheral { TIM_2 = 0, TIM_3, TIM_4, TIM_5 };
        enum class CounterDir { UP = 0, DOWN };
        Peripheral periph = Peripheral::TIM_2;
        CounterDir dir = CounterDir::UP;
        uint32_t period = 0xffffffff;
        bool enable_irq = false;
    };
    enum class Result { OK, ERR };
    typedef void (*PeriodElapsedCallback)(void *data);
    Result Init(const Config &config);
    Result SetPeriod(uint32_t ticks);
    Result Start();
    void SetCallback(PeriodElapsedCallback cb, void *data = nullptr);
};

struct AdcChannelConfig {
    void InitSingle(Pin pin) { pin_ = pin; }
    Pin pin_;
};

class AdcHandle {
  public:
    void Init(AdcChannelConfig *cfg, size_t num_channels);
    void Start() {}
    uint16_t Get(uint8_t chn) const;
};

class DacHandle {
  public:
    enum class Result { OK, ERR };
    enum class Channel { ONE, TWO, BOTH };
    enum class Mode { POLLING, DMA };
    enum class BitDepth { BITS_8, BITS_12 };
    enum class BufferState { ENABLED, DISABLED };
    struct Config {
        uint32_t target_samplerate;
        Channel chn;
        Mode mode;
        BitDepth bitdepth;
        BufferState buff_state;
    };
    Result Init(const Config &config);
    Result WriteValue(Channel chn, uint16_t val);
};

class AudioHandle {
  public:
    typedef const float *const *InputBuffer;
    typedef float **OutputBuffer;
    typedef void (*AudioCallback)(InputBuffer in, OutputBuffer out, size_t size);
};

class UsbHandle {
  public:
    enum class Result { OK, ERR };
    enum UsbPeriph { FS_INTERNAL, FS_EXTERNAL, FS_BOTH };
    typedef void (*ReceiveCallback)(uint8_t *buff, uint32_t *len);
    void Init(UsbPeriph dev);
    Result TransmitInternal(uint8_t *buff, size_t size);
    void SetReceiveCallback(ReceiveCallback cb, UsbPeriph dev);
};

class QSPIHandle {
  public:
    enum Result { OK = 0, ERR };
    Result Write(uint32_t address, uint32_t size, uint8_t *buffer);
    Result Erase(uint32_t start_addr, uint32_t end_addr);
    void *GetData(uint32_t offset = 0);
};

class System {
  public:
    enum BootloaderMode { STM = 0, DAISY, DAISY_SKIP_TIMEOUT, DAISY_INFINITE_TIMEOUT };
    static uint32_t GetNow();
    static uint32_t GetTickFreq();
    static void ResetToBootloader(BootloaderMode mode = BootloaderMode::STM);
};

} // namespace daisy
