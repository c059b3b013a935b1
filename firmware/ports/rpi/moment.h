/* Time on the monotonic clock, in nanoseconds: what the kernel also stamps GPIO edges with. */
#ifndef VAECTROL_PORTS_RPI_MOMENT_H
#define VAECTROL_PORTS_RPI_MOMENT_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S 1000000000

static inline int64_t moment_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static inline void sleep_until_ns(int64_t at_ns) {
    const struct timespec at = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) {
    }
}

#endif
