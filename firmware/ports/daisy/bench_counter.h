/* Cycles of each layer and each callback, counted on the board itself: what the bench image is for.
 *
 * The compiler writes VAECTROL_MARK(layer) in front of each layer's work; a bench image is compiled with
 * VAECTROL_BENCH and with that macro naming vaectrol_mark. In any other image all of this is empty.
 */
#ifndef VAECTROL_PORTS_DAISY_BENCH_COUNTER_H
#define VAECTROL_PORTS_DAISY_BENCH_COUNTER_H

#include "../serial/json.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_LAYERS 96u /* marks above that count as the last */
#define BENCH_BINS 200u  /* of the histogram: half a percent of a block each */

#ifdef VAECTROL_BENCH
void vaectrol_mark(unsigned layer);
void bench_begin(uint32_t now);
void bench_end(uint32_t now, uint32_t spent);
/* Members clock_hz, budget, callbacks, mean, p50, p99, worst, layers [[mean, worst], …]; counting starts afresh. */
void bench_write(void *context, JsonWriter *w);
#else
static inline void bench_begin(uint32_t now) { (void)now; }
static inline void bench_end(uint32_t now, uint32_t spent) {
    (void)now;
    (void)spent;
}
#endif

#ifdef __cplusplus
}
#endif
#endif
