/* LD_PRELOAD for the Pi port's tests: spidev and the GPIO character device, without either.
 *
 * /dev/spidev0.0 is an MCP3208, /dev/spidev0.1 an MCP4822, /dev/gpiochip0 a v2 chip. Their state lies in the file that
 * FAKE_LINUX_STATE names, mapped by the test as well. Bit patterns on the wire are checked here against the data sheets,
 * edges carry the kernel's kind of time stamp.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/spi/spidev.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ADC = 900, DAC = 901, CHIP = 902, OUT = 903 };

typedef struct State {
    uint16_t adc[8];                         /* by the test: 12-bit codes */
    uint16_t dac[2];                         /* 12-bit codes last written */
    uint32_t scans, wrong;                   /* channel reads; malformed transfers */
    uint64_t outputs;                        /* levels of the output lines, in the order they were asked for */
    uint32_t pulses_asked, pulse_us, gap_us; /* by the test: pulses on the first input line */
    uint32_t pulses_sent, pulses_a_time;     /* by the test: so many edges come at once, as after a starved second */
    uint32_t lines_in[8], lines_in_count, active_low_mask, debounce_mask, lines_out_count;
} State;

static State *state;
static int event_end = -1;

static State *shared(void) {
    if (state == NULL) {
        const int file = (int)open(getenv("FAKE_LINUX_STATE"), O_RDWR);
        state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    return state;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void edge(uint32_t line, int rising, uint64_t at_ns) {
    struct gpio_v2_line_event event = {.timestamp_ns = at_ns, .offset = line};
    event.id = rising ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE;
    if (write(event_end, &event, sizeof event) != (ssize_t)sizeof event) shared()->wrong++;
}

static void *pulses(void *unused) {
    (void)unused;
    for (;;) {
        State *s = shared();
        if (s->pulses_sent < s->pulses_asked) {
            const uint64_t period = (s->pulse_us + s->gap_us) * 1000u, now = now_ns();
            for (uint32_t i = s->pulses_a_time; i-- > 1u;) {
                edge(s->lines_in[0], 1, now - i * period);
                edge(s->lines_in[0], 0, now - i * period + s->pulse_us * 1000u);
                s->pulses_sent++;
            }
            edge(s->lines_in[0], 1, now);
            edge(s->lines_in[0], 0, now + s->pulse_us * 1000u);
            s->pulses_sent++;
        }
        usleep(s->gap_us > 0 ? s->gap_us : 1000);
    }
    return NULL;
}

static int spi(int device, const struct spi_ioc_transfer *t) {
    State *s = shared();
    uint8_t in[4] = {0}, *out = (uint8_t *)(uintptr_t)t->rx_buf;
    memcpy(in, (const void *)(uintptr_t)t->tx_buf, t->len < 4 ? t->len : 4);
    if (device == ADC) {
        if (t->len != 3 || (in[0] & 0xFEu) != 0x06u || (in[1] & 0x3Fu) != 0) s->wrong++;
        const unsigned channel = (in[0] & 1u) << 2 | in[1] >> 6;
        out[0] = 0xFF;
        out[1] = (uint8_t)(0xE0u | s->adc[channel] >> 8); /* three bits float, a null bit, then the code */
        out[2] = (uint8_t)s->adc[channel];
        s->scans++;
        return 3;
    }
    if (t->len != 2 || (in[0] & 0x70u) != 0x30u) s->wrong++; /* unbuffered, gain 1, active */
    s->dac[in[0] >> 7] = (uint16_t)((in[0] & 0x0Fu) << 8 | in[1]);
    return 2;
}

static int get_lines(struct gpio_v2_line_request *request) {
    State *s = shared();
    if ((request->config.flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0) {
        s->lines_out_count = request->num_lines;
        request->fd = OUT;
        return 0;
    }
    s->lines_in_count = request->num_lines;
    for (unsigned i = 0; i < request->num_lines && i < 8; i++) s->lines_in[i] = request->offsets[i];
    for (unsigned i = 0; i < request->config.num_attrs; i++) {
        const struct gpio_v2_line_config_attribute *a = &request->config.attrs[i];
        if (a->attr.id == GPIO_V2_LINE_ATTR_ID_FLAGS && (a->attr.flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW) != 0)
            s->active_low_mask = (uint32_t)a->mask;
        if (a->attr.id == GPIO_V2_LINE_ATTR_ID_DEBOUNCE) s->debounce_mask = (uint32_t)a->mask;
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) return -1;
    request->fd = ends[0];
    event_end = ends[1];
    pthread_t thread;
    return pthread_create(&thread, NULL, pulses, NULL);
}

int open(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "open");
    if (strcmp(path, "/dev/spidev0.0") == 0) return ADC;
    if (strcmp(path, "/dev/spidev0.1") == 0) return DAC;
    if (strcmp(path, "/dev/gpiochip0") == 0) return CHIP;
    va_list list;
    va_start(list, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(list, int) : 0;
    va_end(list);
    return real(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(list, int) : 0;
    va_end(list);
    return open(path, flags, mode);
}

int ioctl(int handle, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "ioctl");
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (handle == ADC || handle == DAC) return request == SPI_IOC_MESSAGE(1) ? spi(handle, argument) : 0;
    if (handle == CHIP && request == GPIO_V2_GET_LINE_IOCTL) return get_lines(argument);
    if (handle == OUT && request == GPIO_V2_LINE_SET_VALUES_IOCTL) {
        shared()->outputs = ((struct gpio_v2_line_values *)argument)->bits;
        return 0;
    }
    if (request == GPIO_V2_LINE_GET_VALUES_IOCTL) {
        ((struct gpio_v2_line_values *)argument)->bits = 0;
        return 0;
    }
    return real(handle, request, argument);
}

int close(int handle) {
    static int (*real)(int);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "close");
    return handle >= ADC && handle <= OUT ? 0 : real(handle);
}
