/* A Schmitt trigger: high above one voltage, low below another, unchanged between. */
#ifndef VAECTROL_CONTROL_SCHMITT_H
#define VAECTROL_CONTROL_SCHMITT_H

#include <stdbool.h>

#define SCHMITT_HIGH_VOLTS 1.0f
#define SCHMITT_LOW_VOLTS 0.5f

typedef struct Schmitt {
    bool level;
} Schmitt;

/* NaN changes nothing. */
static inline bool schmitt_between(Schmitt *schmitt, float volts, float low, float high) {
    if (volts > high) {
        schmitt->level = true;
    } else if (volts < low) {
        schmitt->level = false;
    }
    return schmitt->level;
}

static inline bool schmitt_process(Schmitt *schmitt, float volts) {
    return schmitt_between(schmitt, volts, SCHMITT_LOW_VOLTS, SCHMITT_HIGH_VOLTS);
}

#endif
