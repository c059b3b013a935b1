/* Gates from a fast timer to the audio callback: a ring of polls, one writer, one reader, no lock. */
#include "gate_ring.h"

void gate_ring_reset(GateRing *ring) { *ring = (GateRing){.written = 0}; }

void gate_ring_poll(GateRing *ring, uint32_t gates) {
    const uint32_t at = ring->written;
    ring->poll[at % GATE_RING_POLLS] = gates;
    __atomic_store_n(&ring->written, at + 1u, __ATOMIC_RELEASE);
}

void gate_ring_take(GateRing *ring, uint32_t *gates, size_t ticks) {
    const uint32_t written = __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE);
    uint32_t polls = written - ring->taken;
    /* A callback that came very late: the oldest polls are overwritten already. Half the ring stays clear of
     * the writer. */
    if (polls > GATE_RING_POLLS / 2u) {
        polls = GATE_RING_POLLS / 2u;
        ring->taken = written - polls;
    }
    uint32_t done = 0;
    for (size_t i = 0; i < ticks; ++i) {
        const uint32_t until = polls * (uint32_t)(i + 1u) / (uint32_t)ticks;
        uint32_t any = 0;
        if (done == until) {
            any = ring->level;
        }
        for (; done < until; ++done) {
            /* Several polls in one sample: a pulse between two low polls still shows. */
            ring->level = ring->poll[(ring->taken + done) % GATE_RING_POLLS];
            any |= ring->level;
        }
        gates[i] = any;
    }
    ring->taken += polls;
}
