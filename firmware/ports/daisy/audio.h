// The audio callback: converters in, instrument, converters out.
#pragma once

#include <stdint.h>

namespace vaectrol {

void StartAudio();
// Mean code of each input over the blocks since the last call, and how many those were. For the protocol.
uint32_t ReadCodes(void *, float *codes);

} // namespace vaectrol
