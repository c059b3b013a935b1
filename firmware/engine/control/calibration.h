/* Volts from a converter reading, straight lines between measured points.
 *
 * Two points (1 V and 3 V) remove gain and offset; more points also remove the bend that CV inputs have over
 * octaves. Beyond the outer points the outer lines go on.
 */
#ifndef VAECTROL_CONTROL_CALIBRATION_H
#define VAECTROL_CONTROL_CALIBRATION_H

#include "../port.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CALIBRATION_SLOPE_TOLERANCE 0.2f /* of the nominal slope: 1 % parts are off by far less */
#define CALIBRATION_OFFSET_VOLTS 0.5f    /* the most that a point may lie beside the nominal line */
#define CALIBRATION_SPACING_VOLTS 0.25f  /* nearer points would measure the noise */

typedef struct Calibration {
    uint8_t points;
    float code[PORT_MAX_POINTS]; /* rising */
    float volts[PORT_MAX_POINTS];
} Calibration;

/* What the board's parts would give without tolerance. */
void calibration_nominal(Calibration *calibration, float volts_at_zero, float volts_at_one);

/* NULL and the points taken, or why they can't be right and `calibration` untouched. */
const char *calibration_set(Calibration *calibration, float volts_at_zero, float volts_at_one, uint8_t points,
                            const float *code, const float *volts);

float calibration_volts(const Calibration *calibration, float code);

#ifdef __cplusplus
}
#endif
#endif
