/* A gate holds latents where they are; when it falls they glide back to what moves them. */
#ifndef VAECTROL_LATENTS_HOLD_H
#define VAECTROL_LATENTS_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOLD_LATENTS 32u

typedef struct Hold {
    float kept[HOLD_LATENTS];
    float left; /* share of the kept values: 1 while the gate is high, then down to 0 */
    bool high;
} Hold;

/* mask: bit n: latent n is held. glide_s: from the gate's fall until the latents are free. */
void hold_process(Hold *hold, bool high, uint32_t mask, float seconds, float glide_s, float *latent, uint8_t latents);

#ifdef __cplusplus
}
#endif
#endif
