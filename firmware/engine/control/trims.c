/* What comes out of a CV jack made what was asked for. */
#include "trims.h"

#include "bound.h"

void trims_hold(Trims *trims, uint8_t output, float volts, bool raw) {
    trims->held = output;
    trims->held_volts = volts;
    trims->held_raw = raw;
    trims->held_ticks = TRIMS_HOLD_TICKS;
}

void trims_release(Trims *trims) { trims->held_ticks = 0; }

/* What to ask the converter for; it has no more than its range. */
static float asked_for(const Calibration *calibration, const OutputRange *range, float wanted) {
    const float share = (wanted - range->low) / (range->high - range->low);
    return bound(calibration_volts(calibration, share), range->low, range->high);
}

/* Most outputs stand still within a block: a value is worked out where it changes. */
static void correct(const Calibration *calibration, const OutputRange *range, float *volts, size_t ticks) {
    float wanted = volts[0], asked = asked_for(calibration, range, wanted);
    for (size_t i = 0; i < ticks; ++i) {
        if (volts[i] < wanted || volts[i] > wanted) {
            wanted = volts[i];
            asked = asked_for(calibration, range, wanted);
        }
        volts[i] = asked;
    }
}

void trims_apply(Trims *trims, const OutputRange *range, uint8_t outputs, const PortBlock *block) {
    const bool holds = trims->held_ticks > 0 && trims->held < outputs;
    if (holds) {
        const OutputRange *held = &range[trims->held];
        const float volts = bound(trims->held_volts, held->low, held->high);
        for (size_t i = 0; i < block->ticks; ++i) {
            block->cv_out[trims->held][i] = volts;
        }
        trims->held_ticks -= block->ticks < trims->held_ticks ? (uint32_t)block->ticks : trims->held_ticks;
    }
    for (uint8_t o = 0; o < outputs && trims->known != 0; ++o) {
        const bool raw = holds && trims->held_raw && trims->held == o;
        if ((trims->known >> o & 1u) && !raw) {
            correct(&trims->calibration[o], &range[o], block->cv_out[o], block->ticks);
        }
    }
}
