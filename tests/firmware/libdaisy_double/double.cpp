// The double's insides, and the hands a test has on them (extern "C", double_*).
//
// Kept from the real library, because the port must get them right: the mapped flash is read through a cache that
// does not notice erases and writes; a programmed bit only falls; a timer's new period waits for the
// old one to end; the USB transmitter holds the caller's buffer until
// the computer has fetched it; ADC channels on a Patch SM are in libDaisy's own order.
#include <stdlib.h>
#include <string.h>

#include "daisy_patch_sm.h"
#include "daisy_seed.h"

DWT_Type dwt_double;
CoreDebug_Type core_debug_double;
uint32_t irq_priority[64]; // libDaisy's DMA start at 0, the highest
uint32_t fpscr_double;

namespace {

constexpr uint32_t kFlashBytes = 8u << 20, kTimerHz = 240000000u, kLineBytes = 32;

struct {
    bool level[12][256] = {};  // by port and number
    bool is_set[12][256] = {}; // a test patched it before the port looked
    uint16_t adc[16] = {};
    daisy::Pin adc_pins[16];
    float cv_volts[3] = {};
    uint16_t dac_code[2] = {};
    bool led = false, boosted = false;
    daisy::TimerHandle::PeriodElapsedCallback timer_callback = nullptr;
    void *timer_data = nullptr;
    uint32_t timer_period = 0;
    bool timer_runs = false, timer_irq = false;
    daisy::AudioHandle::AudioCallback audio = nullptr;
    size_t block = 0;
    daisy::UsbHandle::ReceiveCallback receive = nullptr;
    const uint8_t *sending = nullptr; // with the controller; the port must leave it alone
    size_t sending_bytes = 0;
    uint32_t now_ms = 0;
    int reset_to = -1;
} self;

uint8_t *flash, *mapped; // what is in the chip, and what the cache shows of it

bool &Level(daisy::Pin pin) { return self.level[pin.port][pin.pin]; }

} // namespace

extern "C" void dsy_dma_invalidate_cache_for_buffer(uint8_t *buffer, size_t size) {
    const size_t at = static_cast<size_t>(buffer - mapped) / kLineBytes * kLineBytes;
    const size_t end = (static_cast<size_t>(buffer - mapped) + size + kLineBytes - 1) / kLineBytes * kLineBytes;
    if (end <= kFlashBytes) memcpy(mapped + at, flash + at, end - at);
}

namespace daisy {

void GPIO::Init(Pin p, Mode m, Pull pu) {
    pin_ = p;
    if (m == Mode::INPUT && !self.is_set[p.port][p.pin]) Level(p) = pu == Pull::PULLUP;
}
bool GPIO::Read() { return Level(pin_); }
void GPIO::Write(bool state) { Level(pin_) = state; }

TimerHandle::Result TimerHandle::Init(const Config &config) {
    self.timer_irq = config.enable_irq && config.periph == Config::Peripheral::TIM_5;
    self.timer_period = config.period;
    irq_priority[TIM5_IRQn] = 15;
    return Result::OK;
}
TimerHandle::Result TimerHandle::SetPeriod(uint32_t) {
    return Result::OK; // preloaded: it takes effect when the running period ends, which no test waits for
}
TimerHandle::Result TimerHandle::Start() {
    self.timer_runs = true;
    return Result::OK;
}
void TimerHandle::SetCallback(PeriodElapsedCallback cb, void *data) {
    self.timer_callback = cb;
    self.timer_data = data;
}

void AdcHandle::Init(AdcChannelConfig *cfg, size_t num_channels) {
    for (size_t i = 0; i < num_channels; i++) self.adc_pins[i] = cfg[i].pin_;
}
uint16_t AdcHandle::Get(uint8_t chn) const { return self.adc[chn]; }

DacHandle::Result DacHandle::Init(const Config &) { return Result::OK; }
DacHandle::Result DacHandle::WriteValue(Channel chn, uint16_t val) {
    self.dac_code[chn == Channel::ONE ? 0 : 1] = val;
    return Result::OK;
}

void UsbHandle::Init(UsbPeriph) {}
void UsbHandle::SetReceiveCallback(ReceiveCallback cb, UsbPeriph) { self.receive = cb; }
UsbHandle::Result UsbHandle::TransmitInternal(uint8_t *buff, size_t size) {
    if (self.sending != nullptr) return Result::ERR;
    self.sending = buff;
    self.sending_bytes = size;
    return Result::OK;
}

QSPIHandle::Result QSPIHandle::Write(uint32_t address, uint32_t size, uint8_t *buffer) {
    if (address + size > kFlashBytes) return ERR;
    for (uint32_t i = 0; i < size; i++) flash[address + i] &= buffer[i];
    return OK;
}
QSPIHandle::Result QSPIHandle::Erase(uint32_t start_addr, uint32_t end_addr) {
    if (end_addr > kFlashBytes) return ERR;
    for (uint32_t at = start_addr / 4096 * 4096; at < end_addr; at += 4096) memset(flash + at, 0xff, 4096);
    return OK;
}
void *QSPIHandle::GetData(uint32_t offset) { return mapped + offset; }

uint32_t System::GetNow() { return self.now_ms; }
uint32_t System::GetTickFreq() { return kTimerHz; }
void System::ResetToBootloader(BootloaderMode mode) { self.reset_to = mode; }

namespace patch_sm {
void DaisyPatchSM::Init() { self.boosted = true; }
void DaisyPatchSM::StartAudio(AudioHandle::AudioCallback cb) { self.audio = cb; }
void DaisyPatchSM::SetAudioBlockSize(size_t size) { self.block = size; }
void DaisyPatchSM::WriteCvOut(const int channel, float voltage) {
    float code = voltage * 819.0f;
    code = code > 4095.0f ? 4095.0f : code < 0.0f ? 0.0f : code;
    self.cv_volts[channel] = static_cast<float>(static_cast<uint16_t>(code)) / 819.0f;
}
void DaisyPatchSM::SetLed(bool state) { self.led = state; }
} // namespace patch_sm

void DaisySeed::Init(bool boost) { self.boosted = boost; }
void DaisySeed::StartAudio(AudioHandle::AudioCallback cb) { self.audio = cb; }
void DaisySeed::SetAudioBlockSize(size_t blocksize) { self.block = blocksize; }
void DaisySeed::SetLed(bool state) { self.led = state; }

} // namespace daisy

namespace vaectrol {
void Start();
void Serve();
} // namespace vaectrol

extern "C" {

// Sections that the linker script makes on the module; here they are in place already.
void boot_copy(void) {}

void double_start(uint8_t *flash_chip) {
    flash = flash_chip;
    mapped = static_cast<uint8_t *>(malloc(kFlashBytes));
    memcpy(mapped, flash, kFlashBytes);
    vaectrol::Start();
}
void double_serve(uint32_t now_ms) {
    self.now_ms = now_ms;
    vaectrol::Serve();
}
uint32_t double_timer_hz(void) { return self.timer_runs && self.timer_irq ? kTimerHz / (self.timer_period + 1u) : 0; }
void double_poll(uint32_t times) {
    for (uint32_t i = 0; i < times; i++) self.timer_callback(self.timer_data);
}
void double_audio(const float *in, float *out, uint32_t gap_cycles) {
    const float *ins[2] = {in, in + self.block};
    float *outs[2] = {out, out + self.block};
    self.audio(ins, outs, self.block);
    dwt_double.CYCCNT.value += gap_cycles;
}
size_t double_block(void) { return self.block; }
void double_set_pin(int port, int number, bool level) {
    self.level[port][number] = level;
    self.is_set[port][number] = true;
}
bool double_get_pin(int port, int number) { return self.level[port][number]; }
void double_set_adc(int channel, uint16_t code) { self.adc[channel] = code; }
int double_adc_pin(int channel) {
    const daisy::Pin pin = self.adc_pins[channel];
    return pin.port * 16 + pin.pin;
}
float double_cv_volts(int channel) { return self.cv_volts[channel]; }
uint16_t double_dac_code(int channel) { return self.dac_code[channel]; }
bool double_led(void) { return self.led; }
bool double_boosted(void) { return self.boosted; }
int double_reset_to(void) { return self.reset_to; }
int double_irq_priority(int irq) { return static_cast<int>(irq_priority[irq]); }
bool double_flushes_denormals(void) { return (fpscr_double >> 24 & 1u) != 0; }
void double_cycles_per_callback(uint32_t cycles) { dwt_double.CYCCNT.step = cycles; }
void double_usb_in(const char *bytes, uint32_t count) {
    uint32_t given = count;
    self.receive(reinterpret_cast<uint8_t *>(const_cast<char *>(bytes)), &given);
}
// The computer fetches what the controller holds; what the port did to it meanwhile shows.
size_t double_usb_out(char *out) {
    const size_t count = self.sending_bytes;
    if (self.sending != nullptr) memcpy(out, self.sending, count);
    self.sending = nullptr;
    self.sending_bytes = 0;
    return count;
}
}
