/* One knob for all parameters. */
#include "macro.h"

#include "bound.h"

float macro_position(const MacroBank *bank, uint8_t parameter, float knob) {
    const float place = bound_unit(knob) * (float)(MACRO_ANCHORS - 1u);
    int lower = -1, upper = -1;
    for (int n = 0; n < (int)MACRO_ANCHORS; ++n) {
        if (bank->used >> n & 1u) {
            lower = (float)n <= place || lower < 0 ? n : lower;
            upper = upper < 0 || (float)upper < place ? n : upper;
        }
    }
    if (lower < 0) {
        return 0.5f;
    }
    const float from = (float)bank->position[lower][parameter], to = (float)bank->position[upper][parameter];
    const float way = upper > lower ? bound_unit((place - (float)lower) / (float)(upper - lower)) : 0.0f;
    return (from + way * (to - from)) * (1.0f / 65535.0f);
}
