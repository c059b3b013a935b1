#include "bench_counter.h"

#ifdef VAECTROL_BENCH

#include <string.h>

#include "load.h"
#include "module.h"

namespace {

constexpr uint32_t kBudget = static_cast<uint32_t>(static_cast<float>(BOARD_BLOCK) *
                                                   (static_cast<float>(BOARD_CLOCK_HZ) / BOARD_TRUE_RATE_HZ));
constexpr unsigned kOutside = BENCH_LAYERS; // controls, converters, everything that is no layer

struct Counts {
    uint64_t sum[BENCH_LAYERS + 1];
    uint32_t worst[BENCH_LAYERS + 1];
    uint64_t callback_sum;
    uint32_t callback_worst, callbacks;
    uint32_t histogram[BENCH_BINS + 1];
};

VAECTROL_COLD Counts counts; // large, and written once a callback

uint32_t in_callback[BENCH_LAYERS + 1];
unsigned current, layers;
uint32_t since;
volatile bool restart = true;

void Charge(uint32_t now) {
    in_callback[current] += now - since;
    since = now;
}

uint32_t Percentile(uint32_t percent) {
    uint64_t left = static_cast<uint64_t>(counts.callbacks) * percent / 100u;
    for (uint32_t bin = 0; bin <= BENCH_BINS; bin++) {
        if (counts.histogram[bin] > left) return (bin + 1u) * kBudget / BENCH_BINS;
        left -= counts.histogram[bin];
    }
    return counts.callback_worst;
}

} // namespace

extern "C" {

void vaectrol_mark(unsigned layer) {
    Charge(vaectrol::Cycles());
    current = layer < BENCH_LAYERS ? layer : BENCH_LAYERS - 1u;
    if (current >= layers) layers = current + 1u;
}

void bench_begin(uint32_t now) {
    if (restart) {
        memset(&counts, 0, sizeof counts);
        restart = false;
    }
    memset(in_callback, 0, sizeof in_callback);
    current = kOutside;
    since = now;
}

void bench_end(uint32_t now, uint32_t spent) {
    Charge(now);
    for (unsigned i = 0; i <= BENCH_LAYERS; i++) {
        counts.sum[i] += in_callback[i];
        if (in_callback[i] > counts.worst[i]) counts.worst[i] = in_callback[i];
    }
    counts.callback_sum += spent;
    if (spent > counts.callback_worst) counts.callback_worst = spent;
    const uint64_t bin = static_cast<uint64_t>(spent) * BENCH_BINS / kBudget;
    counts.histogram[bin < BENCH_BINS ? bin : BENCH_BINS]++;
    counts.callbacks++;
}

void bench_write(void *, JsonWriter *w) {
    // The callback goes on counting while this reads: each figure is right, two neighbours may be a block apart.
    const float callbacks = counts.callbacks > 0 ? static_cast<float>(counts.callbacks) : 1.0f;
    json_put_uint(w, "clock_hz", BOARD_CLOCK_HZ);
    json_put_uint(w, "budget", kBudget);
    json_put_uint(w, "callbacks", counts.callbacks);
    json_put_float(w, "mean", static_cast<float>(counts.callback_sum) / callbacks);
    json_put_uint(w, "p50", Percentile(50));
    json_put_uint(w, "p99", Percentile(99));
    json_put_uint(w, "worst", counts.callback_worst);
    json_open(w, "outside", '[');
    json_put_float(w, nullptr, static_cast<float>(counts.sum[kOutside]) / callbacks);
    json_put_uint(w, nullptr, counts.worst[kOutside]);
    json_close(w, ']');
    json_open(w, "layers", '[');
    for (unsigned i = 0; i < layers; i++) {
        json_open(w, nullptr, '[');
        json_put_float(w, nullptr, static_cast<float>(counts.sum[i]) / callbacks);
        json_put_uint(w, nullptr, counts.worst[i]);
        json_close(w, ']');
    }
    json_close(w, ']');
    restart = true;
}

} // extern "C"

#endif
