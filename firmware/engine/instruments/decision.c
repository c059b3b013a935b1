/* When a model of whole patterns is asked. */
#include "decision.h"

#define ASK_AGAIN 2e-3f    /* a latent that moved less needs no new result */
#define SLICE_CYCLES 7000u /* of a decode, per callback */
#define FIRST_CYCLES 2000u /* per sample, until there is something to play: nothing else sounds yet */
#define UNASKED 1e9f       /* no latent is there: ask again when the freeze is over */

void decision_init(Decision *decision, const Decoder *decoder, void *state) {
    *decision = (Decision){.decoder = decoder, .state = state};
    decoder->reset(state);
}

static void work(Decision *decision, size_t ticks) {
    const uint32_t first = FIRST_CYCLES * (uint32_t)ticks;
    const bool hurry = !decision->playable && first > SLICE_CYCLES;
    decision->decided = decision->decoder->step(decision->state, hurry ? first : SLICE_CYCLES);
    decision->deciding = !decision->decided;
}

static void ask(Decision *decision, const Tone *tone, const ToneSpec *spec) {
    float *latents = decision->asked, *knobs = decision->asked + TONE_LATENTS;
    for (uint8_t i = 0; i < spec->latents; ++i) {
        latents[i] = tone->latent[i].to;
    }
    for (uint8_t i = 0; i < spec->knobs; ++i) {
        knobs[i] = tone->knob[i].to;
    }
    decision->decoder->begin(decision->state, latents, knobs);
    decision->deciding = true;
}

static bool has_moved(const Decision *decision, const Tone *tone, const ToneSpec *spec) {
    bool moved = false;
    for (uint8_t i = 0; i < spec->latents; ++i) {
        moved |= magnitude(tone->latent[i].to - decision->asked[i]) > ASK_AGAIN;
    }
    for (uint8_t i = 0; i < spec->knobs; ++i) {
        moved |= magnitude(tone->knob[i].to - decision->asked[TONE_LATENTS + i]) > ASK_AGAIN;
    }
    return moved;
}

bool decision_advance(Decision *decision, const Tone *tone, const ToneSpec *spec, bool frozen, size_t ticks) {
    const bool kept = frozen && decision->playable;
    if (decision->deciding) {
        work(decision, ticks);
        return false;
    }
    if (decision->decided) { /* a slice of its own */
        decision->decided = false;
        if (kept) {
            decision->asked[0] = UNASKED;
            return false;
        }
        decision->playable = true;
        return true;
    }
    if (!kept && (!decision->playable || has_moved(decision, tone, spec))) {
        ask(decision, tone, spec);
    }
    return false;
}
