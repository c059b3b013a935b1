// Gate inputs and buttons, polled by a timer faster than the sample rate, so that no 1 ms trigger is missed and
// each edge lands within one sample of its place.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace vaectrol {

void StartGates();
// Levels of the next `ticks` samples; bits 0…: gates, then buttons. For the audio callback only.
void TakeGates(uint32_t *gates, size_t ticks);
// Gate outputs as they are at the end of a block.
void WriteGates(uint32_t gates);
// Polls so far; a test and the bench check the rate with it.
uint32_t GatePolls();

} // namespace vaectrol
