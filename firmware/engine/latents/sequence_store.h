/* A sequence that survives a power cut at any byte: behind the tables, in two slots that are written in turn.
 *
 * It is stored when nothing was recorded for two seconds, and nothing mutated for thirty.
 */
#ifndef VAECTROL_LATENTS_SEQUENCE_STORE_H
#define VAECTROL_LATENTS_SEQUENCE_STORE_H

#include "sequence.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SEQUENCE_STORE_ADDRESS (PORT_SETTINGS_BYTES + PORT_TABLES_BYTES)

typedef struct SequenceStore {
    bool loaded;
    uint32_t stored; /* changes that are stored */
} SequenceStore;

/* Loads at the first call, afterwards writes what changed. NULL or one sentence. */
const char *sequence_store_idle(SequenceStore *store, Sequence *sequence, const SequenceSpec *spec,
                                const PortStorage *storage);

#ifdef __cplusplus
}
#endif
#endif
