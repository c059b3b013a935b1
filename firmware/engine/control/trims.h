/* What comes out of a CV jack made what was asked for: the points of each output's converter, and a hold to measure it.
 *
 * An output without points is left as it is, to the bit. A point says: when so many volts are asked for, this share of
 * the converter's range really comes. Between points the lines of calibration.h.
 */
#ifndef VAECTROL_CONTROL_TRIMS_H
#define VAECTROL_CONTROL_TRIMS_H

#include "../port.h"
#include "calibration.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRIMS_HOLD_TICKS 480000u /* ten seconds: whoever measures asks again; a pulled cable ends it */

/* Nominal volts at the ends of an output's converter. */
typedef struct OutputRange {
    float low, high;
} OutputRange;

typedef struct Trims {
    uint32_t known;                            /* bit o: output o has points */
    Calibration calibration[PORT_MAX_CV_OUTS]; /* code: the share that comes; volts: what to ask for it */
    uint32_t held_ticks;
    float held_volts;
    uint8_t held;
    bool held_raw; /* whatever the points say */
} Trims;

/* Volts at an output, instead of what the instrument says; raw: without its points. */
void trims_hold(Trims *trims, uint8_t output, float volts, bool raw);
void trims_release(Trims *trims);

/* The block's CV outputs, as the jacks are to have them. */
void trims_apply(Trims *trims, const OutputRange *range, uint8_t outputs, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
