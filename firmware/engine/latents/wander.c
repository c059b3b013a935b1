/* Walkers that spend as long at every place of the travel as at any other. */
#include "wander.h"

#include "../control/bound.h"
#include "../dsp/hash.h"

#define MOST_LEGS 1.0f       /* in one block */
#define TRAVEL 2147483648.0f /* of 0 … 1, in the integers of a place */
#define FARTHEST 1.0f        /* travels in a leg, at the greatest velocity */

/* -1 … 1 */
static float velocity(uint32_t leg, uint32_t walker) {
    return (float)(int32_t)hash32(leg * WANDER_WALKERS + walker + GOLDEN) * (1.0f / TRAVEL);
}

void wander_advance(Wander *wander, float legs) {
    const float walked = bound(legs, 0.0f, MOST_LEGS);
    wander->into += walked;
    if (wander->into >= 1.0f) {
        wander->into -= 1.0f;
        ++wander->leg;
    }
    for (uint32_t w = 0; w < WANDER_WALKERS; ++w) {
        const float from = velocity(wander->leg, w), to = velocity(wander->leg + 1u, w);
        const float now = from + wander->into * (to - from);
        /* within ±2³¹: the greatest float below it */
        const float step = bound(now * walked * FARTHEST * TRAVEL, -2147483520.0f, 2147483520.0f);
        wander->place[w] += (uint32_t)(int32_t)step;
    }
}

float wander_place(const Wander *wander, uint8_t walker) {
    const uint32_t place = wander->place[walker] + (hash32(walker + 1u) & 0xFFFFFFFFu);
    const uint32_t folded = place & 0x80000000u ? ~place : place;
    return (float)folded * (1.0f / TRAVEL);
}
