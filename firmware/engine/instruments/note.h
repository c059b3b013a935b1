/* What the networks of a voice know of a note alike: how long a frame is, what loudness means, by what a note ages. */
#ifndef VAECTROL_INSTRUMENTS_NOTE_H
#define VAECTROL_INSTRUMENTS_NOTE_H

#define NOTE_FRAME_S 0.004f
#define NOTE_LOUDNESS_DB 40.0f /* a loudness of 0 is so far below full scale, and 1 is full scale */
#define NOTE_DEAD_DB (-90.0f)
#define NOTE_AGES 6u

/* In seconds; exp(−time / each) is how a network is told the time since a note began. */
#define NOTE_AGE_S {0.01f, 0.03f, 0.1f, 0.3f, 1.0f, 3.0f}

#endif
