/* Gates from a fast timer to the audio callback: a ring of polls, one writer, one reader, no lock.
 *
 * The timer calls gate_ring_poll with the level of every gate (bit g) at its own even rate; the callback spreads
 * the polls that came since its last visit over the samples of its block. Polled at the sample rate or faster, an
 * edge lands within one sample of its place, one block later; at any rate above 1 kHz no 1 ms pulse is missed.
 */
#ifndef VAECTROL_CONTROL_GATE_RING_H
#define VAECTROL_CONTROL_GATE_RING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GATE_RING_POLLS 1024u /* 21 ms at 48 kHz: four blocks of 256 */

typedef struct GateRing {
    uint32_t poll[GATE_RING_POLLS];
    uint32_t written; /* by the timer only */
    uint32_t taken;   /* by the callback only */
    uint32_t level;   /* last poll taken */
} GateRing;

void gate_ring_reset(GateRing *ring);
void gate_ring_poll(GateRing *ring, uint32_t gates);
/* gates: [ticks]. With no poll at all the last level goes on. */
void gate_ring_take(GateRing *ring, uint32_t *gates, size_t ticks);

#ifdef __cplusplus
}
#endif
#endif
