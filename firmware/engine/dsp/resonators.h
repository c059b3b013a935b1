/* A bank of resonators that a sound drives: decaying rotators, four at a time.
 *
 *     s_k[n + 1] = r_k · exp(i ω_k) · s_k[n] + g_k · x[n],   y[n] = Σ_k Im s_k[n + 1]
 *
 * Struck by an impulse each is the decaying sine of modes.h. But here whatever goes in sounds, for as long as it goes
 * in, and frequencies may move without a jump: a rotator keeps its state. A step only turns and shrinks, so that no
 * movement makes the bank louder than what drives it (coupled form, Rader and Gold 1967).
 */
#ifndef VAECTROL_DSP_RESONATORS_H
#define VAECTROL_DSP_RESONATORS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VK_RESONATORS 32u /* at most; a multiple of 4 */

/* What a bank is to be, by octaves and logarithms. */
typedef struct vk_resonators_asked {
    float cycles;     /* of the first mode, per sample */
    float stretch;    /* mode k lies at k to this power */
    float scatter;    /* how far modes leave their place, as a log ratio */
    float loss;       /* of the first mode's log amplitude, per sample */
    float damping;    /* log of the loss per log of the frequency ratio */
    float brightness; /* log of the gain per log of the frequency ratio */
    float position;   /* where it is struck, 0 … 0.5 of its length: mode k gets sin(π k · position) */
    float choke;      /* loss that all modes have beside their own */
} vk_resonators_asked;

typedef struct vk_resonators {
    uint32_t count;
    float order[VK_RESONATORS], log_order[VK_RESONATORS], scatter[VK_RESONATORS]; /* constant */
    float cosine[VK_RESONATORS], sine[VK_RESONATORS];                             /* of a step, shrunk */
    float gain[VK_RESONATORS];
    float loudness; /* Σ |gain| */
    float re[VK_RESONATORS], im[VK_RESONATORS];
} vk_resonators;

/* Silent modes of a bank; where scattered ones go is a hash of the seed. */
void vk_resonators_begin(vk_resonators *bank, uint32_t count, uint32_t seed);
void vk_resonators_silence(vk_resonators *bank);
/* Modes above 0.42 of the sample rate fade, and at 0.47 they are gone. */
void vk_resonators_tune(vk_resonators *bank, const vk_resonators_asked *asked);
/* Adds what a sound x makes sound to out. */
void vk_resonators_ring(vk_resonators *bank, const float *x, float *out, uint32_t samples);

#ifdef __cplusplus
}
#endif
#endif
