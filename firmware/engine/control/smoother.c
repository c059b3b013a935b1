/* A control that is quick when it is moved and dead still when it is not. */
#include "smoother.h"

#include "bound.h"

#define FAST 0.92f      /* coefficient for a far target: a step leaves 0.05 % after three runs */
#define FAR 200.0f      /* 1 / travel at which a target counts as far: 0.5 % */
#define REST_SLOW 0.03f /* coefficient of the mean: about 33 runs */
#define SLACK_FADE 0.6f /* of what is left of the held output, each run */

void smoother_reset(Smoother *smoother, float position) {
    *smoother = (Smoother){.low_pass = position, .rest = position, .output = position};
}

float smoother_process(Smoother *smoother, float position, float smoothing, float band) {
    const float slow = 1.0f - bound(smoothing, 0.0f, 0.99f);
    const float error = position - smoother->low_pass;
    const float fast = FAST > slow ? FAST : slow;
    /* Squared, so that noise, which is near, does not open the filter. */
    const float far = bound_unit(magnitude(error) * FAR);
    smoother->low_pass += error * (slow + (fast - slow) * far * far);

    const float away = magnitude(smoother->low_pass - smoother->rest);
    if (smoother->held && away <= band) {
        return smoother->output;
    }
    if (smoother->held) {
        smoother->slack = bound(smoother->output - smoother->low_pass, -band, band);
    }
    if (away > band) {
        smoother->rest = smoother->low_pass;
    } else {
        smoother->rest += REST_SLOW * (smoother->low_pass - smoother->rest);
    }
    smoother->quiet = away <= 0.5f * band ? (uint16_t)(smoother->quiet + 1u) : 0u;
    smoother->held = band > 0.0f && smoother->quiet >= SMOOTHER_HOLD_RUNS;
    if (smoother->held) {
        smoother->quiet = SMOOTHER_HOLD_RUNS;
        smoother->output = smoother->rest;
    } else {
        smoother->slack *= SLACK_FADE;
        smoother->output = smoother->low_pass + smoother->slack;
    }
    return smoother->output;
}
