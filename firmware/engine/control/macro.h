/* One knob for all parameters: a sound is learnt at three of its positions, and what lies between is interpolated. */
#ifndef VAECTROL_CONTROL_MACRO_H
#define VAECTROL_CONTROL_MACRO_H

#include "../port.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MACRO_ANCHORS 3u
#define MACRO_MOVED (1.0f / 1024.0f) /* of its travel: less is noise */

typedef struct MacroSpec {
    uint8_t parameter, learn; /* the knob itself; the gate function that learns */
} MacroSpec;

/* What is stored, beside the presets. */
typedef struct MacroBank {
    uint32_t used; /* bit n: anchor n holds a sound */
    uint16_t position[MACRO_ANCHORS][PORT_MAX_PARAMETERS];
} MacroBank;

typedef struct Macro {
    MacroBank *bank; /* NULL: the instrument has no macro */
    float applied;   /* where the knob was when the parameters followed it; negative: nowhere yet */
    bool learns;
} Macro;

/* The anchor that is nearest to the knob. */
static inline uint8_t macro_anchor(float knob) { return (uint8_t)(knob * (float)(MACRO_ANCHORS - 1u) + 0.5f); }
/* Whether there is anything to interpolate between. */
static inline bool macro_ready(const MacroBank *bank) { return (bank->used & (bank->used - 1u)) != 0; }
/* Where a parameter stands when the knob is there; straight lines between the anchors that hold a sound. */
float macro_position(const MacroBank *bank, uint8_t parameter, float knob);

#ifdef __cplusplus
}
#endif
#endif
