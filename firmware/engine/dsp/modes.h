/* A bank of decaying sines: the tones of a struck thing, some of them gliding in frequency.
 *
 *     y[n] = Σ A · exp(−t / τ) · sin(2π f · u(t) + φ),   u = t, or t + a·tg · (1 − exp(−t / tg)) for a gliding one
 *
 * A frame of 48 samples at a time. In a frame every mode is a recurrence that starts from its exact complex state; at
 * its end the state has turned by the closed form's phase, and its amplitude is the closed form's. When what is asked
 * changes while it sounds, the phase goes on from where it is, and the amplitude moves by at most 20 dB a frame.
 */
#ifndef VAECTROL_DSP_MODES_H
#define VAECTROL_DSP_MODES_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VK_HIT_FRAME 48u /* samples: 1 ms */
#define VK_MODES 64u     /* at most */

/* A mode as it is asked for. */
typedef struct vk_mode {
    float cycles;               /* per sample */
    float level, fall;          /* log amplitude at the stroke, and what it loses in a frame */
    float amplitude;            /* at the stroke */
    float cosine, sine;         /* of the phase at the stroke */
    float turn_cos, turn_sin;   /* of one sample; not used of a gliding mode */
    float frame_cos, frame_sin; /* of a frame */
} vk_mode;

/* How the first `gliding` modes glide. */
typedef struct vk_glide {
    float extra; /* a·tg in samples */
    float rate;  /* 1 / tg, per sample */
} vk_glide;

/* What a mode is while it sounds. */
typedef struct vk_mode_state {
    float re, im;         /* on the unit circle */
    float log, amplitude; /* at the frame's begin */
} vk_mode_state;

/* Constants of a model: cycles per sample and log ratio by which a mode may leave them. */
typedef struct vk_mode_slots {
    const float *anchor, *spread; /* [count] */
    uint16_t count, gliding;
} vk_mode_slots;

/* What the network's numbers mean, for modes `first` … `first + count − 1`. raw: [5][slots.count], rows of frequency,
 * decay, level, cosine and sine of the start phase. */
void vk_modes_decode(const vk_mode_slots *slots, const float *raw, vk_mode *modes, uint32_t first, uint32_t count);
void vk_glide_decode(const float *raw, vk_glide *glide); /* raw: amount and time */

void vk_modes_start(const vk_mode_slots *slots, const vk_mode *modes, vk_mode_state *state);
/* Adds frame number `frame` after the stroke to out[48]; whether any mode is above −100 dB at its end. */
bool vk_modes_frame(const vk_mode_slots *slots, const vk_mode *modes, const vk_glide *glide, vk_mode_state *state,
                    uint32_t frame, float *out);

#ifdef __cplusplus
}
#endif
#endif
