/* Which groups and output channels a call of a convolution covers. */
#ifndef VAECTROL_KERNELS_SLICE_H
#define VAECTROL_KERNELS_SLICE_H

#include "packing.h"

typedef struct vk_slice {
    size_t group, group_end;     /* groups [group, group_end) */
    size_t channel, channel_end; /* of every one of them */
} vk_slice;

static inline vk_slice vk_slice_of(size_t groups, size_t channels, size_t first, size_t count) {
    if (groups > 1u) {
        return (vk_slice){first, first + count, 0u, channels};
    }
    return (vk_slice){0u, 1u, first, first + count};
}
#endif
