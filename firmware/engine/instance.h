/* Instruments side by side in one program: the verbs of port.h, each on memory that its port gives.
 *
 * An image is generated either for one instrument, whose memory is static (port.h), or for instances: then it has
 * these verbs instead, and of port.h's only instrument_info. There is nothing global: instances may run on threads of
 * their own. Tables and weights are shared, but for those that a board wants copied (Region.copies).
 */
#ifndef VAECTROL_ENGINE_INSTANCE_H
#define VAECTROL_ENGINE_INSTANCE_H

#include "port.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTANCE_ALIGNMENT 16u /* bytes, of every piece */
#define INSTANCE_PIECES 8u     /* there are never more */

typedef struct Instance Instance;

/* A piece of an instance's memory. `region` is where the memory plan wants it; "" where a target knows no regions. */
typedef struct InstancePiece {
    const char *region;
    size_t bytes;
    bool is_copy; /* of tables: it may be NULL, then they are read where they lie in the image */
} InstancePiece;

typedef struct InstanceNeeds {
    size_t pieces;
    const InstancePiece *piece; /* [pieces]; the first holds the instance itself */
} InstanceNeeds;

const InstanceNeeds *instance_needs(void);
/* Power on, in memory[pieces], whatever it held before. An instance points into its memory: it can't be moved. To end
 * one, forget its memory. */
Instance *instance_init(void *const *memory, float sample_rate_hz);

/* As in port.h. */
void instance_reset(Instance *self);
void instance_render(Instance *self, const PortBlock *block);
bool instance_post(Instance *self, PortCommand command);
void instance_report(const Instance *self, PortReport *report);
const char *instance_calibrate(Instance *self, uint8_t jack, uint8_t points, const float *codes, const float *volts);
uint8_t instance_calibration(const Instance *self, uint8_t jack, float *codes, float *volts);
const char *instance_idle(Instance *self, const PortStorage *storage);

#ifdef __cplusplus
}
#endif
#endif
