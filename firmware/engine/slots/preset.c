/* A preset that names its model. */
#include "preset.h"

ModelPreset model_preset_before(const ModelSlots *slots, const Panel *panel) {
    return (ModelPreset){.brought = slots->brought, .preset = panel->preset, .asked = panel->asked_model};
}

/* The callback takes it as it takes any recall, in its next block: knobs are where they were read then. */
void model_preset_again(ModelPreset kept, Panel *panel) {
    if (kept.brought) {
        panel->asked_model = kept.asked;
        (void)panel_post(panel, (PortCommand){.kind = PORT_PRESET_RECALL, .index = kept.preset});
    }
}

void model_preset_idle(ModelSlots *slots, Panel *panel, const PortStorage *storage) {
    if (!model_slots_still(slots)) {
        return; /* it waits until the model before is in place */
    }
    const uint8_t asked = __atomic_exchange_n(&panel->asked_model, 0, __ATOMIC_ACQ_REL);
    if (asked != 0) {
        panel->model_note = model_slots_bring(slots, storage, (uint8_t)(asked - 1u));
    }
}
