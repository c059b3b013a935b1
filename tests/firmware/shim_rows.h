/* Rows of a panel, as the shims of instruments write them. */
#ifndef VAECTROL_TESTS_SHIM_ROWS_H
#define VAECTROL_TESTS_SHIM_ROWS_H

#include "control/panel.h"

static const float unit[2] = {0.0f, 1.0f};
static const float tempo[2] = {40.0f, 240.0f};

/* A parameter that only the test moves. */
#define ROW(at, values) {.knob = -1, .cv = -1, .depth = -1, .rest = (at), .table = (values), .points = 2}
/* A gate function that one gate raises. */
#define GATE(number) {.gates = 1u << (number), .cv = -1, .audio = -1}

/* What a model of one latent is told: parameter[0]. */
static const float rest_of[1] = {0.0f};
#define ONE_LATENT(parameter) {.latents = 1, .latent = (parameter), .latent_rest = rest_of, .class_parameter = -1}

#endif
