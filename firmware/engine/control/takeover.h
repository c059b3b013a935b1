/* Soft take-over: after a preset or a remote message a knob does nothing until it passes the stored position. */
#ifndef VAECTROL_CONTROL_TAKEOVER_H
#define VAECTROL_CONTROL_TAKEOVER_H

#include <stdbool.h>

#include "bound.h"

#define TAKEOVER_CATCH 0.01f /* of travel: near enough to take over without a jump one could hear */

typedef struct Takeover {
    float position; /* stored one, while the knob waits */
    bool waiting, above;
} Takeover;

static inline void takeover_store(Takeover *takeover, float position, float knob) {
    takeover->position = position;
    takeover->above = knob > position;
    takeover->waiting = magnitude(knob - position) > TAKEOVER_CATCH;
}

static inline float takeover_process(Takeover *takeover, float knob) {
    if (takeover->waiting) {
        const bool passed = (knob > takeover->position) != takeover->above;
        if (!passed && magnitude(knob - takeover->position) > TAKEOVER_CATCH) {
            return takeover->position;
        }
        takeover->waiting = false;
    }
    return knob;
}

#endif
