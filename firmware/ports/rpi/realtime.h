/* Real-time settings, asked for one by one; what was not granted is named, never hidden. */
#ifndef VAECTROL_PORTS_RPI_REALTIME_H
#define VAECTROL_PORTS_RPI_REALTIME_H

#include <stdbool.h>

typedef struct Realtime {
    bool memory_locked;
    bool fifo;         /* the audio thread runs under SCHED_FIFO */
    bool performance;  /* every CPU's governor is "performance", or there is none to ask */
    char governor[24]; /* of CPU 0 */
} Realtime;

/* Before any thread: lock memory, read the governor. */
void realtime_prepare(Realtime *r);
/* In the thread itself. */
bool realtime_fifo(int priority);
/* One sentence per thing missing, on stderr. */
void realtime_complain(const Realtime *r);

#endif
