/* Walkers, one a latent, that spend as long at every place of the travel 0 … 1 as at any other.
 *
 * Each walks with a velocity of its own that drifts, and turns round at the ends: such a walk is evenly spread.
 * Through a table of quantiles it visits a latent as often as the training data did. The place is an integer and the
 * velocities are hashes of a count, so every target walks the same way.
 */
#ifndef VAECTROL_LATENTS_WANDER_H
#define VAECTROL_LATENTS_WANDER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WANDER_WALKERS 32u

typedef struct Wander {
    uint32_t place[WANDER_WALKERS]; /* two travels to the whole circle: there and back */
    uint32_t leg;                   /* velocities change from leg to leg */
    float into;                     /* share of the leg that is walked */
} Wander;

/* legs: how far the time has come; 1 is a change of velocity. */
void wander_advance(Wander *wander, float legs);
/* Where a walker is, 0 … 1. */
float wander_place(const Wander *wander, uint8_t walker);

#ifdef __cplusplus
}
#endif
#endif
