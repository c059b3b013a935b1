/* A control that is quick when it is moved and dead still when it is not.
 *
 * A one-pole low-pass whose coefficient grows with the distance it has to go (a full-scale step is within 0.1 %
 * after three runs), followed by a dead-band with hysteresis: at rest the output is held, and it is let go only
 * when the input has left the band, so that converter noise never reaches a latent.
 * Call it once per millisecond of block, at least once.
 */
#ifndef VAECTROL_CONTROL_SMOOTHER_H
#define VAECTROL_CONTROL_SMOOTHER_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMOOTHER_HOLD_RUNS 64u /* of quiet before the output is held */

typedef struct Smoother {
    float low_pass; /* follows the input */
    float rest;     /* mean of low_pass while it is quiet: where the output is held */
    float output;
    float slack;    /* left over when a held output is let go; fades, so that letting go is no step */
    uint16_t quiet; /* runs within half the band */
    bool held;
} Smoother;

void smoother_reset(Smoother *smoother, float position);

/* band: half width of the dead-band, in travel; 0 switches it off. smoothing: 0 (none) … 0.99 at rest. */
float smoother_process(Smoother *smoother, float position, float smoothing, float band);

#ifdef __cplusplus
}
#endif
#endif
