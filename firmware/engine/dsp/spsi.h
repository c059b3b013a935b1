/* Sound of magnitudes: single-pass spectrogram inversion (Beauregard, Harish and Wyse 2015).
 *
 * A hop of 256 samples is told 512 log magnitudes, as a Hann window of 1024 samples shows them; a sine of amplitude 1
 * has 1 at its peak. Every local maximum is a partial: where it lies between the bins, its neighbour's height says; its
 * phase goes on by its frequency from that of the region in which it lies. A partial is drawn as the window's own lobe,
 * so that the axis of the magnitudes may be another than that of the sound: bin p lies at bin p·scale, and what is a
 * quarter of a harmonic wide at one pitch is so at all. What lies below the partials, from valley to valley, is noise.
 * The twin: train/models/spectra/spsi.py.
 */
#ifndef VAECTROL_DSP_SPSI_H
#define VAECTROL_DSP_SPSI_H

#include "fft.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VK_SPSI_HOP 256u
#define VK_SPSI_SIZE 1024u
#define VK_SPSI_BINS 512u
#define VK_SPSI_PEAKS 128u /* at most; those above are noise */
#define VK_SPSI_MARGIN 4u  /* bins beside those of the sound, on either side */

typedef struct vk_spsi_asked {
    float scale;   /* bins of the sound that one of the axis is wide, 0.25 … 32 */
    float grid;    /* bins of the axis between harmonics; 0: there are none */
    float pull;    /* part of the way to a harmonic, 0 … 1, from within which a partial is drawn to it */
    float stretch; /* by which the second harmonic is sharp, of its frequency; the third twice as much … */
    float tone;    /* 1: phases go on; 0: they are random */
    float noise;   /* log gain of what lies below the partials */
} vk_spsi_asked;

typedef struct vk_spsi {
    float phase[VK_SPSI_BINS]; /* in turns, of the partial in whose region a bin of the axis lies */
    uint32_t frame;
    uint32_t count; /* of partials */
    float before;   /* the scale of the frame before; 0: none */
    uint32_t peak[VK_SPSI_PEAKS], valley[VK_SPSI_PEAKS + 4u];
    float low[VK_SPSI_PEAKS + 4u]; /* height of the valleys */
    float place[VK_SPSI_PEAKS], turn[VK_SPSI_PEAKS], re[VK_SPSI_PEAKS], im[VK_SPSI_PEAKS];
    float sum[VK_SPSI_SIZE]; /* four hops; the frame's number says which is the first */
    vk_complex bins[VK_SPSI_BINS + 2u * VK_SPSI_MARGIN], work[VK_SPSI_BINS];
} vk_spsi;

#define VK_SPSI_PIECES 18u

void vk_spsi_reset(vk_spsi *state);
/* Pieces, in order, of a frame. logs: [512], within −60 … 20. */
void vk_spsi_piece(const vk_fft_roots *roots, const vk_spsi_asked *asked, const float *logs, vk_spsi *state,
                   uint32_t piece);
/* The hop [256] that is complete with that frame; its window began where the hop does. */
void vk_spsi_sound(const vk_spsi *state, float *out);

#ifdef __cplusplus
}
#endif
#endif
