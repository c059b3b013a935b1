/* One block of an instance as the host port renders one: denormals are zero while it does. */
#include "instance.h"

#include "../ports/denormals.h"

void shim_render(Instance *self, const PortBlock *block);

void shim_render(Instance *self, const PortBlock *block) {
    const uint64_t before = flush_denormals();
    instance_render(self, block);
    restore_denormals(before);
}
