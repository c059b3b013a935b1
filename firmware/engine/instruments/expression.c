/* What makes a note alive: a network says its loudness, its pitch beside the note's, and its breath, frame by frame. */
#include "expression.h"

#include "../control/bound.h"
#include "../dsp/hash.h"
#include "../dsp/quick.h"

#define OCTAVES (50.0f / 1200.0f) /* a curve's 1 */
#define MOST_CENTS 1.6f           /* 80 of them */
#define MOST_BREATH 3.0f
#define ATTACK_S 0.1f  /* after which a note decays rather than begins */
#define OLDEST_S 1.8f  /* notes that were learnt are hardly older */
#define LATEST_S 0.45f /* nor is what sounds after them */
#define FADING_FROM_S 0.5f
#define FADING_S 0.4f /* over which it is measured how a note dies */
#define MOST_FADING 60.0f
#define LATE_FADING 150.0f /* dB a second of what is let go for long */
#define DEEPEST_DB 200.0f
#define SILENT_DB (-68.0f)

static const float AGE_S[NOTE_AGES] = NOTE_AGE_S;
static const float SINCE_S[EXPRESSION_SINCES] = {0.03f, 0.1f, 0.3f};

/* Of noise from frame to frame: exp(-NOTE_FRAME_S / time constant) of 30, 100 and 400 ms, taken twice, for nothing that
 * plays a note jumps; what keeps its strength */
static const float KEPT[EXPRESSION_NOISES] = {0.875173319f, 0.960789439f, 0.990049834f};
static const float TAKEN[EXPRESSION_NOISES] = {0.085219056f, 0.015372632f, 0.001980100f};

/* -1 … 1, by two counts and a seed. */
static float by_chance(uint32_t seed, uint32_t count, uint32_t lane) {
    const uint32_t drawn = hash32(hash32(count * GOLDEN + seed) + lane);
    return (float)(int32_t)drawn * (1.0f / 2147483648.0f);
}

/* Of each voice another. */
static uint32_t seed_of(const ExpressionModel *model, const ExpressionHands *hands) {
    return model->seed ^ (uint32_t)hands->lane << 24;
}

void expression_reset(Expression *expression) {
    *expression = (Expression){.loudness = NOTE_DEAD_DB, .last = NOTE_DEAD_DB, .age_s = OLDEST_S, .since_s = LATEST_S};
}

static void begin_note(Expression *expression, const ExpressionModel *model, const ExpressionHands *hands) {
    const uint32_t seed = seed_of(model, hands);
    expression->interval = expression->notes > 0 ? bound(hands->octaves - expression->octaves, -2.0f, 2.0f) : 0.0f;
    expression->octaves = hands->octaves;
    expression->event = hands->event;
    expression->age_s = 0.0f;
    expression->since_s = 0.0f;
    expression->fading = 0.0f;
    expression->fallen = 0.0f;
    ++expression->notes;
    for (uint32_t i = 0; i < model->latents; ++i) { /* a sum of three is nearly normal, and of unit spread */
        float sum = 0.0f;
        for (uint32_t k = 0; k < 3u; ++k) {
            sum += by_chance(~seed, expression->notes, 3u * i + k);
        }
        expression->chance[i] = model->spread[i] * sum;
    }
}

void expression_begin(Expression *expression, const ExpressionModel *model, const ExpressionHands *hands) {
    const uint32_t seed = seed_of(model, hands);
    if (hands->fresh) {
        begin_note(expression, model, hands);
    }
    for (uint32_t i = 0; i < model->latents; ++i) {
        expression->latent[i] = bound(hands->manner[i] + hands->life * expression->chance[i], -3.5f, 3.5f);
    }
    float *told = expression->told;
    for (uint32_t i = 0; i < model->timbre; ++i) {
        *told++ = hands->timbre[i];
    }
    *told++ = hands->octaves;
    *told++ = expression->interval;
    *told++ = hands->velocity;
    *told++ = hands->gate ? 1.0f : 0.0f;
    for (uint32_t a = 0; a < NOTE_AGES; ++a) {
        *told++ = natural_exp(-expression->age_s / AGE_S[a]);
    }
    for (uint32_t a = 0; a < EXPRESSION_SINCES; ++a) {
        *told++ = hands->gate ? 0.0f : natural_exp(-expression->since_s / SINCE_S[a]);
    }
    for (uint32_t e = 0; e < EXPRESSION_EVENTS; ++e) {
        *told++ = expression->event == e + 1u ? 1.0f : 0.0f;
    }
    for (uint32_t n = 0; n < EXPRESSION_NOISES; ++n) {
        const float drawn = by_chance(seed, expression->frames, n);
        expression->drawn[n] = KEPT[n] * expression->drawn[n] + drawn;
        expression->noise[n] = KEPT[n] * expression->noise[n] + TAKEN[n] * expression->drawn[n];
        *told++ = bound(hands->life * expression->noise[n], -2.0f, 2.0f);
    }
    ++expression->frames;
}

/* How fast a note that is held dies, as long as that was learnt; later it goes on like that. */
static void follow_fading(Expression *expression, const ExpressionHands *hands, float loudness) {
    if (expression->age_s > FADING_FROM_S && expression->age_s < OLDEST_S) {
        const float now = bound((expression->last - loudness) * (1.0f / NOTE_FRAME_S), -1000.0f, 1000.0f);
        expression->fading += (NOTE_FRAME_S / FADING_S) * (now - expression->fading);
    }
    if (expression->age_s >= OLDEST_S) {
        expression->fallen += NOTE_FRAME_S * hands->decay * bound(expression->fading, 0.0f, MOST_FADING);
    }
}

void expression_end(Expression *expression, const ExpressionHands *hands) {
    const float loudness = NOTE_LOUDNESS_DB * expression->curve[EXPRESSION_LOUDNESS] - NOTE_LOUDNESS_DB;
    const float aging = expression->age_s < ATTACK_S ? natural_exp(-hands->attack) : hands->decay;
    if (hands->gate) {
        follow_fading(expression, hands, loudness);
        expression->since_s = 0.0f;
    } else {
        const float pace = natural_exp(-hands->release);
        expression->fallen += expression->since_s >= LATEST_S ? NOTE_FRAME_S * pace * LATE_FADING : 0.0f;
        expression->since_s = bound(expression->since_s + NOTE_FRAME_S * pace, 0.0f, LATEST_S);
    }
    expression->age_s = bound(expression->age_s + NOTE_FRAME_S * aging, 0.0f, OLDEST_S);
    expression->fallen = bound(expression->fallen, 0.0f, DEEPEST_DB);
    expression->last = loudness;
    const float heard = loudness - expression->fallen;
    expression->loudness = heard > SILENT_DB ? heard : NOTE_DEAD_DB;
    expression->octaves_beside = OCTAVES * bound(expression->curve[EXPRESSION_CENTS], -MOST_CENTS, MOST_CENTS);
    expression->breath = bound(expression->curve[EXPRESSION_BREATH], -MOST_BREATH, MOST_BREATH);
}
