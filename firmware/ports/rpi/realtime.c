#define _GNU_SOURCE
#include "realtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define GOVERNOR_FILE "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor"
#define MAX_CPUS 64

void realtime_prepare(Realtime *r) {
    memset(r, 0, sizeof *r);
    r->memory_locked = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
    r->performance = true;
    snprintf(r->governor, sizeof r->governor, "none");
    for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
        char path[96], name[24] = "";
        snprintf(path, sizeof path, GOVERNOR_FILE, cpu);
        FILE *file = fopen(path, "r");
        if (file == NULL) break;
        if (fscanf(file, "%23s", name) == 1) {
            if (cpu == 0) snprintf(r->governor, sizeof r->governor, "%s", name);
            r->performance = r->performance && strcmp(name, "performance") == 0;
        }
        fclose(file);
    }
}

bool realtime_fifo(int priority) {
    const struct sched_param wanted = {.sched_priority = priority};
    return pthread_setschedparam(pthread_self(), SCHED_FIFO, &wanted) == 0;
}

void realtime_complain(const Realtime *r) {
    if (!r->memory_locked)
        fprintf(stderr, "not granted: locked memory (a page fault may cost a block); set LimitMEMLOCK=infinity in the "
                        "unit, or `memlock unlimited` in limits.conf.\n");
    if (!r->fifo)
        fprintf(stderr, "not granted: SCHED_FIFO (other programs may delay the audio); set LimitRTPRIO=95 in the unit, "
                        "or `rtprio 95` in limits.conf.\n");
    if (!r->performance)
        fprintf(stderr,
                "not set: the CPU governor is \"%s\", not \"performance\" (clock changes cost time); run "
                "`sudo cpupower frequency-set -g performance`.\n",
                r->governor);
}
