/* The audio thread: a sound card with two periods, or, without a card, the clock.
 *
 * It reads a block, renders, writes a block, and counts honestly: a block that came too late is an xrun, and the frames
 * that were not played because of it are lost frames. It recovers from each and goes on.
 */
#ifndef VAECTROL_PORTS_RPI_AUDIO_H
#define VAECTROL_PORTS_RPI_AUDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIO_FIFO_PRIORITY 85

typedef struct AudioSettings {
    const char *device; /* ALSA name; NULL: no card, blocks are due by the clock */
    bool paced;         /* blocks are due by the clock as well: for ALSA's null and file devices, which never wait */
    unsigned block;
} AudioSettings;

typedef struct AudioCounts {
    uint64_t blocks, frames;
    uint32_t xruns;
    uint64_t lost_frames;
    float mean, worst;   /* of a block's time, in the callback */
    float worst_late_ms; /* latest start of a block after it was due */
    bool fifo;
    bool capture;
    char trouble[160]; /* why it stopped, "" while it runs */
} AudioCounts;

/* Opens the card; false and a sentence in `why` when that fails. */
bool audio_open(const AudioSettings *settings, char *why, size_t why_size);
/* Starts the thread; false without one. */
bool audio_start(void);
void audio_counts(AudioCounts *counts);
/* Mean codes since the last call, for the protocol. */
uint32_t audio_codes(void *context, float *codes);
void audio_stop(void);

#endif
