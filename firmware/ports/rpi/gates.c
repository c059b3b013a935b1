#define _GNU_SOURCE
#include "gates.h"

#include "board.h"
#include "moment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define RING_EDGES 1024u
#define BUTTON_DEBOUNCE_US 5000u
#define INPUTS (BOARD_GATES_IN + BOARD_BUTTONS)
#define OUTPUTS (BOARD_GATES_OUT + BOARD_LEDS)

typedef struct Edge {
    int64_t at_ns;
    uint32_t levels; /* of all inputs, after the edge */
} Edge;

static struct {
    int lines_in, lines_out, wake;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    Edge ring[RING_EDGES];
    atomic_uint written, taken;
    atomic_uint lost;
    uint32_t level, shown; /* audio thread */
    uint32_t levels;       /* gates thread */
    atomic_uint out_wanted;
    atomic_bool light;
} self = {.lines_in = -1, .lines_out = -1, .wake = -1};

static int input_of(uint32_t line) {
    for (unsigned i = 0; i < BOARD_GATES_IN; i++)
        if (board_gates_in[i].line == (int)line) return (int)i;
    for (unsigned i = 0; i < BOARD_BUTTONS; i++)
        if (board_buttons[i].line == (int)line) return (int)(BOARD_GATES_IN + i);
    return -1;
}

static void hand_over(int64_t at_ns) {
    const uint32_t at = atomic_load_explicit(&self.written, memory_order_relaxed);
    if (at - atomic_load_explicit(&self.taken, memory_order_acquire) == RING_EDGES) {
        atomic_fetch_add(&self.lost, 1u);
        return;
    }
    self.ring[at % RING_EDGES] = (Edge){.at_ns = at_ns, .levels = self.levels};
    atomic_store_explicit(&self.written, at + 1u, memory_order_release);
}

static void take_events(void) {
    struct gpio_v2_line_event events[32];
    const ssize_t bytes = read(self.lines_in, events, sizeof events);
    for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof events[0]; i++) {
        const int input = input_of(events[i].offset);
        if (input < 0) continue;
        const uint32_t bit = 1u << (unsigned)input;
        /* active low lines are requested as such: a rising edge is always 5 V at the jack */
        if (events[i].id == GPIO_V2_LINE_EVENT_RISING_EDGE) self.levels |= bit;
        else self.levels &= ~bit;
        hand_over((int64_t)events[i].timestamp_ns);
    }
}

static void write_outputs(uint32_t *written) {
    uint32_t wanted = atomic_load_explicit(&self.out_wanted, memory_order_acquire);
    if (atomic_load(&self.light)) wanted |= ((1u << BOARD_LEDS) - 1u) << BOARD_GATES_OUT;
    if (wanted == *written || self.lines_out < 0) return;
    struct gpio_v2_line_values values = {.bits = wanted, .mask = (1u << OUTPUTS) - 1u};
    if (ioctl(self.lines_out, GPIO_V2_LINE_SET_VALUES_IOCTL, &values) == 0) *written = wanted;
}

static void *run(void *unused) {
    (void)unused;
    uint32_t written = UINT32_MAX;
    struct pollfd waits[2] = {{.fd = self.lines_in, .events = POLLIN}, {.fd = self.wake, .events = POLLIN}};
    while (!atomic_load(&self.stop)) {
        if (poll(waits, 2, 100) < 0 && errno != EINTR) break;
        if ((waits[0].revents & POLLIN) != 0) take_events();
        if ((waits[1].revents & POLLIN) != 0) {
            uint64_t count;
            if (read(self.wake, &count, sizeof count) < 0 && errno != EAGAIN) break;
        }
        write_outputs(&written);
    }
    return NULL;
}

static int request(int chip, struct gpio_v2_line_request *wanted) {
    snprintf(wanted->consumer, sizeof wanted->consumer, "vaectrol");
    return ioctl(chip, GPIO_V2_GET_LINE_IOCTL, wanted) == 0 ? wanted->fd : -1;
}

static int request_inputs(int chip) {
    struct gpio_v2_line_request wanted = {.num_lines = INPUTS, .event_buffer_size = RING_EDGES};
    wanted.config.flags = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING;
    struct gpio_v2_line_config_attribute *low = &wanted.config.attrs[0], *slow = &wanted.config.attrs[1];
    low->attr.id = GPIO_V2_LINE_ATTR_ID_FLAGS;
    low->attr.flags = wanted.config.flags | GPIO_V2_LINE_FLAG_ACTIVE_LOW | GPIO_V2_LINE_FLAG_BIAS_PULL_UP;
    slow->attr.id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE;
    slow->attr.debounce_period_us = BUTTON_DEBOUNCE_US;
    wanted.config.num_attrs = 2;
    for (unsigned i = 0; i < INPUTS; i++) {
        const BoardGate *gate = i < BOARD_GATES_IN ? &board_gates_in[i] : &board_buttons[i - BOARD_GATES_IN];
        wanted.offsets[i] = (uint32_t)gate->line;
        if (gate->inverted) low->mask |= 1u << i;
        if (i >= BOARD_GATES_IN) slow->mask |= 1u << i;
    }
    return request(chip, &wanted);
}

static int request_outputs(int chip) {
    struct gpio_v2_line_request wanted = {.num_lines = OUTPUTS};
    wanted.config.flags = GPIO_V2_LINE_FLAG_OUTPUT;
    for (unsigned i = 0; i < OUTPUTS; i++)
        wanted.offsets[i] = (uint32_t)(i < BOARD_GATES_OUT ? board_gates_out[i].line
                                                           : board_leds[i - BOARD_GATES_OUT].line);
    return request(chip, &wanted);
}

static void read_levels(void) {
    struct gpio_v2_line_values values = {.mask = (1u << INPUTS) - 1u};
    if (ioctl(self.lines_in, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) == 0) self.levels = (uint32_t)values.bits;
    hand_over(moment_ns());
}

bool gates_start(const char *chip, char *why, size_t why_size) {
    const int handle = open(chip, O_RDWR | O_CLOEXEC);
    if (handle < 0) {
        snprintf(why, why_size, "no gates: cannot open %s (%s)%s", chip, strerror(errno),
                 errno == EACCES ? "; add the user to the group gpio" : "");
        return false;
    }
    self.lines_in = request_inputs(handle);
    self.lines_out = request_outputs(handle);
    if (self.lines_in < 0 || self.lines_out < 0)
        snprintf(why, why_size, "no gates: %s refuses the lines (%s); another program may hold them", chip,
                 strerror(errno));
    close(handle);
    self.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self.lines_in < 0 || self.lines_out < 0 || self.wake < 0) return false;
    read_levels();
    self.running = pthread_create(&self.thread, NULL, run, NULL) == 0;
    if (!self.running) snprintf(why, why_size, "no gates: no thread for them");
    return self.running;
}

void gates_take(uint32_t *gates, size_t ticks, int64_t from_ns, int64_t to_ns) {
    const uint32_t written = atomic_load_explicit(&self.written, memory_order_acquire);
    uint32_t taken = atomic_load_explicit(&self.taken, memory_order_relaxed);
    const int64_t span_ns = to_ns > from_ns ? to_ns - from_ns : 1;
    for (size_t i = 0; i < ticks; i++) {
        const int64_t end_ns = from_ns + span_ns * (int64_t)(i + 1) / (int64_t)ticks;
        uint32_t any = 0;
        bool edge = false;
        while (taken != written && self.ring[taken % RING_EDGES].at_ns < end_ns) {
            const uint32_t levels = self.ring[taken % RING_EDGES].levels;
            /* edges that come late come together: one that rises again waits until its line was seen low */
            if (levels & ~self.level & (any | self.shown)) break;
            self.level = levels;
            any |= levels; /* a pulse shorter than a sample still shows */
            taken++;
            edge = true;
        }
        gates[i] = self.shown = edge ? any : self.level;
    }
    atomic_store_explicit(&self.taken, taken, memory_order_release);
}

void gates_put(uint32_t levels) {
    const uint32_t mask = (1u << BOARD_GATES_OUT) - 1u;
    if (atomic_exchange_explicit(&self.out_wanted, levels & mask, memory_order_acq_rel) == (levels & mask)) return;
    const uint64_t one = 1;
    if (self.wake >= 0 && write(self.wake, &one, sizeof one) < 0) return; /* full: the thread is awake already */
}

void gates_light(bool on) { atomic_store(&self.light, on); }

uint32_t gates_lost(void) { return atomic_load(&self.lost); }

void gates_stop(void) {
    atomic_store(&self.stop, true);
    if (self.running) pthread_join(self.thread, NULL);
    self.running = false;
}
