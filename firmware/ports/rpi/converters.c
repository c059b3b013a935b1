#define _GNU_SOURCE
#include "converters.h"

#include "board.h"
#include "moment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/spi/spidev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SCAN_NS 1000000 /* every input and output once a millisecond */

static struct {
    int adc, dac;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    _Atomic float code[BOARD_INPUTS];
    _Atomic float volts[BOARD_DACS + 1];
} self = {.adc = -1, .dac = -1};

static float code_of_zero_volts(const BoardInput *input) {
    const float span = input->volts_at_one - input->volts_at_zero;
    return (0.0f - input->volts_at_zero) / span;
}

static bool transfer(int device, uint8_t *bytes, uint32_t count) {
    struct spi_ioc_transfer message = {.tx_buf = (uintptr_t)bytes,
                                       .rx_buf = (uintptr_t)bytes,
                                       .len = count,
                                       .speed_hz = BOARD_SPI_HZ,
                                       .bits_per_word = 8};
    return ioctl(device, SPI_IOC_MESSAGE(1), &message) >= 0;
}

/* MCP3208, data sheet figure 6-1: start bit, single-ended, channel; 12 bits come back right-aligned. */
static bool read_channel(uint8_t channel, uint16_t *code) {
    uint8_t bytes[3] = {(uint8_t)(0x06u | channel >> 2), (uint8_t)(channel << 6), 0};
    if (!transfer(self.adc, bytes, sizeof bytes)) return false;
    *code = (uint16_t)((bytes[1] & 0x0Fu) << 8 | bytes[2]);
    return true;
}

/* MCP4822, data sheet register 5-1: channel, 1 × gain (the op amp scales), active, 12 bits. */
static void write_channel(const BoardDac *dac, float volts) {
    float code = volts * dac->codes_per_volt + 0.5f;
    code = code<0.0f ? 0.0f : code>(float) dac->full_code ? (float)dac->full_code : code;
    const uint16_t word = (uint16_t)((dac->index == 0 ? 0x3000u : 0xB000u) | (uint16_t)code);
    uint8_t bytes[2] = {(uint8_t)(word >> 8), (uint8_t)word};
    (void)transfer(self.dac, bytes, sizeof bytes);
}

static void scan(float *shown) {
    for (unsigned i = 0; self.adc >= 0 && i < BOARD_INPUTS; i++) {
        uint16_t code;
        if (read_channel(board_inputs[i].index, &code))
            atomic_store_explicit(&self.code[i], (float)code / (float)board_inputs[i].full_code, memory_order_relaxed);
    }
    for (unsigned i = 0; self.dac >= 0 && i < BOARD_DACS; i++) {
        const float volts = atomic_load_explicit(&self.volts[i], memory_order_relaxed);
        if (volts == shown[i]) continue;
        write_channel(&board_dacs[i], volts);
        shown[i] = volts;
    }
}

static void *run(void *unused) {
    (void)unused;
    float shown[BOARD_DACS + 1];
    for (unsigned i = 0; i < BOARD_DACS; i++) shown[i] = -1.0f;
    int64_t next_ns = moment_ns();
    while (!atomic_load(&self.stop)) {
        scan(shown);
        next_ns += SCAN_NS;
        const int64_t now_ns = moment_ns();
        if (next_ns < now_ns) next_ns = now_ns; /* a slow bus: no burst to catch up */
        sleep_until_ns(next_ns);
    }
    return NULL;
}

static int open_spi(const char *device) {
    const int handle = device == NULL || device[0] == '\0' ? -1 : open(device, O_RDWR | O_CLOEXEC);
    const uint8_t mode = SPI_MODE_0;
    if (handle >= 0 && ioctl(handle, SPI_IOC_WR_MODE, &mode) < 0) {
        close(handle);
        return -1;
    }
    return handle;
}

bool converters_start(const char *adc_device, const char *dac_device, char *why, size_t why_size) {
    for (unsigned i = 0; i < BOARD_INPUTS; i++) atomic_store(&self.code[i], code_of_zero_volts(&board_inputs[i]));
    self.adc = open_spi(adc_device);
    if (self.adc < 0)
        snprintf(why, why_size, "no ADC: cannot open %s (%s)%s", adc_device == NULL ? "none" : adc_device,
                 strerror(errno),
                 errno == ENOENT   ? "; switch SPI on with `sudo raspi-config nonint do_spi 0`"
                 : errno == EACCES ? "; add the user to the group spi"
                                   : "");
    self.dac = open_spi(dac_device);
    if (self.adc < 0 && self.dac < 0) return false;
    self.running = pthread_create(&self.thread, NULL, run, NULL) == 0;
    return self.running && self.adc >= 0;
}

void converters_read(float *codes) {
    for (unsigned i = 0; i < BOARD_INPUTS; i++) codes[i] = atomic_load_explicit(&self.code[i], memory_order_relaxed);
}

void converters_put(size_t index, float volts) {
    if (index < BOARD_DACS) atomic_store_explicit(&self.volts[index], volts, memory_order_relaxed);
}

void converters_stop(void) {
    atomic_store(&self.stop, true);
    if (self.running) pthread_join(self.thread, NULL);
    self.running = false;
}
