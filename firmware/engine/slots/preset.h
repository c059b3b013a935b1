/* A preset that names its model: recalled, it brings the model of that slot, and stands where it stood when saved.
 *
 * The callback sets the parameters and asks; the main loop reads the slot, proves it and lets it play. The choice in the
 * flash stays: after power on no preset is recalled either. Where the slot cannot play, the model stays as it is.
 */
#ifndef VAECTROL_SLOTS_PRESET_H
#define VAECTROL_SLOTS_PRESET_H

#include "../control/panel.h"
#include "slots.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What outlives the panel when it starts anew for a model that a preset named. */
typedef struct ModelPreset {
    bool brought;
    uint8_t preset, asked;
} ModelPreset;

/* In the main loop, before the panel starts anew; after it, before the callback plays again. */
ModelPreset model_preset_before(const ModelSlots *slots, const Panel *panel);
void model_preset_again(ModelPreset kept, Panel *panel);
/* Behind all that is stored. The panel's report says why the model that a preset names does not play. */
void model_preset_idle(ModelSlots *slots, Panel *panel, const PortStorage *storage);

#ifdef __cplusplus
}
#endif
#endif
