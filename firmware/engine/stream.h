/* The clockwork of a streamed model: how many frames are due, rings that slide, work spread over a period.
 *
 * Time is counted in base ticks; a clock fires every `period` of them. Generated code holds the state of its
 * clocks and calls these few lines.
 */
#ifndef VAECTROL_STREAM_H
#define VAECTROL_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/vk.h"

/* Firings of a clock within the next `ticks`, the first of them `wait` ticks away. */
static inline uint32_t vs_count(uint32_t wait, uint32_t period, uint32_t ticks) {
    return ticks > wait ? (ticks - wait - 1u) / period + 1u : 0u;
}

/* The same, and time goes on. */
static inline uint32_t vs_due(uint32_t *wait, uint32_t period, uint32_t ticks) {
    const uint32_t due = vs_count(*wait, period, ticks);
    *wait = *wait + due * period - ticks;
    return due;
}

/* Make room for `incoming` frames behind the `written` ones: when the ring is full, its last `keep` frames move to
 * the front. `base` is the number of the frame at the front; frame numbers wrap around harmlessly. */
static inline void vs_room(void *ring, uint32_t *base, uint32_t written, uint32_t incoming, uint32_t keep,
                           uint32_t capacity, size_t frame_bytes) {
    if (written + incoming - *base > capacity) {
        const uint32_t first = written - keep;
        vk_slide(ring, (size_t)(first - *base) * frame_bytes, (size_t)keep * frame_bytes);
        *base = first;
    }
}

/* Rings that go round: frame n lies at n modulo the capacity, `at` is the place of the next one to be written. */
static inline uint32_t vs_back(uint32_t at, uint32_t back, uint32_t capacity) {
    return at >= back ? at - back : at + capacity - back;
}
static inline uint32_t vs_on(uint32_t at, uint32_t frames, uint32_t capacity) {
    const uint32_t next = at + frames;
    return next >= capacity ? next - capacity : next;
}
/* The first `mirrored` frames lie once more behind the last: after `frames` were written from `at` on, in one piece,
 * bring what passed the end to the front, and what changed at the front behind the end. */
static inline void vs_mirror(void *ring, uint32_t at, uint32_t frames, uint32_t capacity, uint32_t mirrored,
                             size_t frame_bytes) {
    char *const first = ring, *const behind = first + (size_t)capacity * frame_bytes;
    if (at + frames > capacity) {
        vk_copy_rows(behind, frame_bytes, first, frame_bytes, at + frames - capacity, frame_bytes);
    } else if (at < mirrored) {
        const uint32_t end = at + frames < mirrored ? at + frames : mirrored;
        const size_t skip = (size_t)at * frame_bytes;
        vk_copy_rows(first + skip, frame_bytes, behind + skip, frame_bytes, end - at, frame_bytes);
    }
}

/* Where a reader stands whose firings share the frames of a slower tensor, `repeats` each. */
typedef struct vs_held {
    uint32_t frame, past; /* the frame in turn; firings that have read it */
} vs_held;

/* Firings, of the next `due`, that read the same frame. */
static inline uint32_t vs_run(vs_held held, uint32_t repeats, uint32_t due) {
    const uint32_t left = repeats - held.past;
    return due < left ? due : left;
}

static inline vs_held vs_moved(vs_held held, uint32_t repeats, uint32_t firings) {
    const uint32_t past = held.past + firings;
    return (vs_held){held.frame + past / repeats, past % repeats};
}

/* Layers whose work is spread over their period: an item runs once `due` ticks of the period have passed. */
typedef struct vs_item {
    uint32_t due;
    uint16_t layer, first, count; /* outputs first … of a layer; 0, 0 is the whole layer */
} vs_item;
typedef struct vs_slices {
    const vs_item *items;
    uint32_t count, period;
    void (*run)(void *model, const vs_item *item);
} vs_slices;
typedef struct vs_progress {
    uint32_t wait;    /* ticks until the next firing begins */
    uint32_t elapsed; /* ticks into the firing under way; the period when none is */
    uint32_t next;    /* its next item */
    uint32_t started, done;
} vs_progress;

static inline void vs_advance(vs_progress *at, const vs_slices *slices, uint32_t ticks, void *model) {
    while (ticks > 0u) {
        if (at->elapsed == slices->period) {
            if (at->wait >= ticks) {
                at->wait -= ticks;
                return;
            }
            ticks -= at->wait;
            at->wait = slices->period;
            at->elapsed = 0u;
            at->next = 0u;
            at->started++;
        }
        const uint32_t left = slices->period - at->elapsed;
        const uint32_t step = ticks < left ? ticks : left;
        at->elapsed += step;
        at->wait -= step;
        ticks -= step;
        while (at->next < slices->count && slices->items[at->next].due < at->elapsed) {
            slices->run(model, &slices->items[at->next++]);
        }
        if (at->elapsed == slices->period) {
            at->done++;
        }
    }
}

#endif
