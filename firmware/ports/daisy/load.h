// How long the audio callback takes, in core cycles, and how much of a block that is.
#pragma once

#include <stdint.h>

#include "../serial/protocol.h"

namespace vaectrol {

void StartCycleCounter();
uint32_t Cycles();

// Around the callback. End also feeds the layer counter of a bench image.
void LoadBegin();
void LoadEnd();
// For the protocol: mean of about a tenth of a second, worst of about the last two seconds, late blocks so far.
void ReadLoad(void *, ProtocolLoad *load);

} // namespace vaectrol
