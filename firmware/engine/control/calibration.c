/* Volts from a converter reading, straight lines between measured points. */
#include "calibration.h"

#include "bound.h"

void calibration_nominal(Calibration *calibration, float volts_at_zero, float volts_at_one) {
    calibration->points = 2;
    calibration->code[0] = 0.0f;
    calibration->code[1] = 1.0f;
    calibration->volts[0] = volts_at_zero;
    calibration->volts[1] = volts_at_one;
}

const char *calibration_set(Calibration *calibration, float volts_at_zero, float volts_at_one, uint8_t points,
                            const float *code, const float *volts) {
    Calibration next = {.points = points};
    const float slope = volts_at_one - volts_at_zero;
    if (points < 2 || points > PORT_MAX_POINTS) {
        return "a calibration needs 2 to 11 points";
    }
    for (uint8_t i = 0; i < points; ++i) {
        if (!(code[i] >= 0.0f && code[i] <= 1.0f) || !(magnitude(volts[i]) <= 24.0f)) {
            return "a calibration point lies outside the converter's range";
        }
        if (magnitude(volts_at_zero + slope * code[i] - volts[i]) > CALIBRATION_OFFSET_VOLTS) {
            return "a calibration point is more than 0.5 V beside what the board should read; check the cable and the "
                   "voltage";
        }
        /* Insertion keeps the codes rising, whichever order the points were measured in. */
        uint8_t at = i;
        for (; at > 0 && next.code[at - 1] > code[i]; --at) {
            next.code[at] = next.code[at - 1];
            next.volts[at] = next.volts[at - 1];
        }
        next.code[at] = code[i];
        next.volts[at] = volts[i];
    }
    for (uint8_t i = 1; i < points; ++i) {
        const float rise = next.volts[i] - next.volts[i - 1];
        const float run = next.code[i] - next.code[i - 1];
        if (magnitude(rise) < CALIBRATION_SPACING_VOLTS) {
            return "two calibration points are closer than 0.25 V";
        }
        if (magnitude(rise - slope * run) > CALIBRATION_SLOPE_TOLERANCE * magnitude(slope * run)) {
            return "the gain between two calibration points is more than 20 % off; check the cable and the voltage";
        }
    }
    *calibration = next;
    return NULL;
}

float calibration_volts(const Calibration *calibration, float code) {
    const float x = bound_unit(code);
    uint8_t i = 1;
    while (i + 1 < calibration->points && x > calibration->code[i]) {
        ++i;
    }
    const float run = calibration->code[i] - calibration->code[i - 1];
    const float rise = calibration->volts[i] - calibration->volts[i - 1];
    return calibration->volts[i - 1] + (x - calibration->code[i - 1]) * (rise / run);
}
