/* What a drum model says of a hit, and when it is asked. */
#include "hit.h"

/* The network's share of the samples; the rest is for what its numbers mean: a sample of either costs about the same. */
#define NETWORK_PARTS 77u
#define PARTS 96u

void evaluation_init(Evaluation *evaluation, const HitModel *model, void *state) {
    *evaluation = (Evaluation){.model = model, .state = state};
    model->reset(state);
}

void evaluation_begin(Evaluation *evaluation, const float *latents, const float *knobs, HitSet *into, uint32_t ticks) {
    evaluation->into = into;
    evaluation->ticks = ticks;
    evaluation->elapsed = 0;
    evaluation->meant = 0;
    into->ready = false;
    evaluation->model->begin(evaluation->state, latents, knobs);
}

void evaluation_stroke(const Evaluation *evaluation) {
    evaluation->model->stroke(evaluation->state, evaluation->into->transient);
}

/* The modes up to a share of all, four at a time. */
static void work_out(Evaluation *evaluation, uint32_t part, uint32_t whole) {
    const vk_mode_slots *slots = &evaluation->model->sound->modes;
    const uint32_t due = slots->count * part / whole / 4u * 4u;
    if (due > evaluation->meant) {
        vk_modes_decode(slots, evaluation->modes, evaluation->into->mode, evaluation->meant, due - evaluation->meant);
        evaluation->meant = due;
    }
}

bool evaluation_advance(Evaluation *evaluation, uint32_t ticks) {
    const HitModel *model = evaluation->model;
    const uint32_t before = evaluation->elapsed, now = before + ticks;
    const uint32_t network = evaluation->ticks * NETWORK_PARTS / PARTS;
    evaluation->elapsed = now;
    if (before < network) {
        model->reach(evaluation->state, now < network ? now : network, network);
        if (now >= network) {
            HitSet *into = evaluation->into;
            model->result(evaluation->state, evaluation->modes, evaluation->glide, into->noise);
            vk_glide_decode(evaluation->glide, &into->glide);
            const vk_bands *bands = &model->sound->bands;
            const vk_band_gains gains = {into->noise, into->noise + bands->count, 0.0f};
            vk_bands_filter(bands, &gains, &into->first);
        }
    }
    if (now > network) {
        work_out(evaluation, now - network, evaluation->ticks - network);
    }
    if (now == evaluation->ticks) {
        evaluation->into->ready = true;
        return true;
    }
    return false;
}
