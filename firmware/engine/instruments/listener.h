/* A listener: strokes in a sound become gates, their group, strength and likeness become voltages.
 *
 * What it hears, and how, is said in listening.h.
 */
#ifndef VAECTROL_INSTRUMENTS_LISTENER_H
#define VAECTROL_INSTRUMENTS_LISTENER_H

#include "listening.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LISTENER_LEARN = 0, LISTENER_GATES };
/* Voltages: the gates above as 5 V, for boards with few gate jacks, then these. */
enum {
    LISTENER_OUT_GROUP = LISTENER_OUTS,
    LISTENER_OUT_CONFIDENCE,
    LISTENER_OUT_VELOCITY,
    LISTENER_OUT_SCENE,
    LISTENER_OUT_LIKENESS
};
enum { LISTENER_AUDIO_MIX = 0 };

typedef struct ListenerSpec {
    ListeningSpec ear;
    int8_t gain, monitor, level; /* parameters */
    OutputSpec outputs;
} ListenerSpec;

typedef struct Listener {
    const ListenerSpec *spec;
    vk_fft_roots roots;
    Listening ear;
    float pip_sine, pip_cosine; /* what is heard of a stroke that was named */
    uint8_t pip;                /* its group */
} Listener;

void listener_init(Listener *listener, const ListenerSpec *spec);
void listener_reset(Listener *listener);
void listener_render(Listener *listener, const Panel *panel, const PortBlock *block);

#ifdef __cplusplus
}
#endif
#endif
