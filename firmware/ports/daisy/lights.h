// What the lights say: a slow blink is well, a fast one is too little time, steady is writing or waiting.
#pragma once

#include <stdint.h>

namespace vaectrol {

void StartLights();
void UpdateLights(uint32_t now_ms);

} // namespace vaectrol
