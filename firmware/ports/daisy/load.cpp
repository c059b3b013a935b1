#include "load.h"

#include "bench_counter.h"
#include "module.h"

namespace vaectrol {
namespace {

constexpr float kBlockCycles = static_cast<float>(BOARD_BLOCK) *
                               (static_cast<float>(BOARD_CLOCK_HZ) / BOARD_TRUE_RATE_HZ);
constexpr float kMeanShare = 0.01f;    // of each new block in the mean
constexpr float kWorstDecay = 0.9995f; // per block: a peak fades over about two seconds

uint32_t began, last_began;
float mean, worst;
uint32_t late;
bool running;

} // namespace

void StartCycleCounter() {
    CoreDebug->DEMCR |= CoreDebug_DEMCR_TRCENA_Msk;
    DWT->LAR = 0xC5ACCE55u; // the M7 locks its trace unit
    DWT->CYCCNT = 0;
    DWT->CTRL |= DWT_CTRL_CYCCNTENA_Msk;
}

uint32_t Cycles() { return DWT->CYCCNT; }

void LoadBegin() {
    began = Cycles();
    // two callbacks farther apart than a block and a half: one came too late
    if (running && static_cast<float>(began - last_began) > 1.5f * kBlockCycles) late++;
    last_began = began;
    running = true;
    bench_begin(began);
}

void LoadEnd() {
    const uint32_t now = Cycles();
    const uint32_t spent = now - began;
    const float share = static_cast<float>(spent) / kBlockCycles;
    mean += kMeanShare * (share - mean);
    worst = share > worst * kWorstDecay ? share : worst * kWorstDecay;
    bench_end(now, spent);
}

void ReadLoad(void *, ProtocolLoad *load) { *load = {mean, worst, late}; }

} // namespace vaectrol
