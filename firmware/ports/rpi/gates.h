/* Gate inputs and buttons through the GPIO character device (v2): a thread of its own takes the kernel's time-stamped
 * edges and hands them to the audio thread through a ring without locks; the audio thread puts each into its sample.
 * However short a pulse, both its edges are queued by the kernel.
 */
#ifndef VAECTROL_PORTS_RPI_GATES_H
#define VAECTROL_PORTS_RPI_GATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens `chip` and starts the thread; false and a sentence in `why` when it could not. */
bool gates_start(const char *chip, char *why, size_t why_size);
/* Audio thread: levels for the samples between two moments. */
void gates_take(uint32_t *gates, size_t ticks, int64_t from_ns, int64_t to_ns);
/* Audio thread: the outputs' levels now; the gates thread writes them at once. */
void gates_put(uint32_t levels);
/* Any thread: the LED. */
void gates_light(bool on);
/* Edges that came faster than the ring was emptied; 0 unless something is very wrong. */
uint32_t gates_lost(void);
void gates_stop(void);

#endif
