/* What a drum model says of a hit, and when it is asked. */
#include "hit.h"

#define NETWORK_TICKS 84u /* the rest is for what the numbers mean: a sample of either costs about the same */
#define MEANING_TICKS (EVALUATION_TICKS - NETWORK_TICKS)

void evaluation_init(Evaluation *evaluation, const HitModel *model, void *state) {
    *evaluation = (Evaluation){.model = model, .state = state, .elapsed = EVALUATION_TICKS};
    model->reset(state);
}

void evaluation_begin(Evaluation *evaluation, const float *latents, const float *knobs, HitSet *into) {
    evaluation->into = into;
    evaluation->elapsed = 0;
    evaluation->meant = 0;
    into->ready = false;
    evaluation->model->begin(evaluation->state, latents, knobs);
}

/* The modes up to a share of all, four at a time. */
static void work_out(Evaluation *evaluation, uint32_t part) {
    const vk_mode_slots *slots = &evaluation->model->sound->modes;
    const uint32_t due = slots->count * part / MEANING_TICKS / 4u * 4u;
    if (due > evaluation->meant) {
        vk_modes_decode(slots, evaluation->modes, evaluation->into->mode, evaluation->meant, due - evaluation->meant);
        evaluation->meant = due;
    }
}

bool evaluation_advance(Evaluation *evaluation, uint32_t ticks) {
    const HitModel *model = evaluation->model;
    const uint32_t before = evaluation->elapsed, now = before + ticks;
    evaluation->elapsed = now;
    if (before < NETWORK_TICKS) {
        model->reach(evaluation->state, now < NETWORK_TICKS ? now : NETWORK_TICKS, NETWORK_TICKS);
        if (now >= NETWORK_TICKS) {
            HitSet *into = evaluation->into;
            model->result(evaluation->state, evaluation->modes, evaluation->glide, into->noise, into->transient);
            vk_glide_decode(evaluation->glide, &into->glide);
        }
    }
    if (now > NETWORK_TICKS) {
        work_out(evaluation, now - NETWORK_TICKS);
    }
    if (now == EVALUATION_TICKS) {
        evaluation->into->ready = true;
        return true;
    }
    return false;
}
