/* Torn-off knobs, broken cables, storms of clocks and resets, remotes gone mad, a flash that loses power: for as long
 * as asked, the sound goes on, bounded. Built with the sanitizers; `python -m firmware.play.fuzz` runs it.
 *
 * fuzz SECONDS SEED — seconds of sound. Prints what it did; exit status 1 and one line where a promise broke.
 */
#include "port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed;
static uint32_t roll(uint32_t sides) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % sides;
}
static float share(void) { return (float)roll(65536) / 65535.0f; }
static float rubbish(void) {
    static const float odd[] = {0.0f, 1.0f, -1.0f, 1e30f, -1e30f, 1e-42f, 0.5f};
    switch (roll(12)) {
    case 0: return (float)(0.0 / (seed == 0 ? 1.0 : 0.0)); /* NaN */
    case 1: return (float)(1.0 / (seed == 0 ? 1.0 : 0.0)); /* infinity */
    case 2: return odd[roll(7)];
    default: return share();
    }
}

static uint8_t flash[PORT_STORAGE_BYTES];
static uint32_t power = UINT32_MAX;
static bool flash_read(void *context, uint32_t address, void *data, size_t bytes) {
    (void)context;
    memcpy(data, flash + address, bytes);
    return roll(50) != 0;
}
static bool flash_erase(void *context, uint32_t address) {
    (void)context;
    for (uint32_t i = 0; i < PORT_SECTOR_BYTES; ++i) {
        if (power == 0) {
            return false;
        }
        --power;
        flash[address + i] = 0xFF;
    }
    return true;
}
static bool flash_program(void *context, uint32_t address, const void *data, size_t bytes) {
    (void)context;
    for (size_t i = 0; i < bytes; ++i) {
        if (power == 0) {
            return false;
        }
        --power;
        flash[address + i] &= ((const uint8_t *)data)[i];
    }
    return true;
}
static const PortStorage storage = {NULL, flash_read, flash_erase, flash_program};

/* One manner of trouble at a time, for a second or so each. */
typedef struct Trouble {
    uint32_t clock_ticks; /* between gate edges; 0: none */
    bool still, knobs, sound, remote, restart;
    uint32_t block;
} Trouble;

static Trouble trouble_now(void) {
    static const uint32_t clocks[] = {0, 1, 24, 48, 100, 3000, 6000, 24000};
    static const uint32_t blocks[] = {1, 7, 16, 48, 48, 48, 64, 128, 255, 256};
    return (Trouble){
        .clock_ticks = clocks[roll(8)],
        .still = roll(3) == 0,
        .knobs = roll(3) == 0,
        .sound = roll(3) == 0,
        .remote = roll(2) == 0,
        .restart = roll(40) == 0,
        .block = blocks[roll(10)],
    };
}

static float readings[PORT_MAX_INPUTS];
static float audio_in[PORT_MAX_AUDIO][PORT_MAX_BLOCK], audio_out[PORT_MAX_AUDIO][PORT_MAX_BLOCK];
static float cv_out[PORT_MAX_CV_OUTS][PORT_MAX_BLOCK];
static uint32_t gates_in[PORT_MAX_BLOCK], gates_out[PORT_MAX_BLOCK];

static void make_inputs(const Trouble *trouble, uint64_t tick) {
    for (size_t i = 0; i < PORT_MAX_INPUTS && !trouble->still; ++i) {
        readings[i] = trouble->knobs ? rubbish() : readings[i] + 0.02f * (share() - readings[i]);
    }
    for (size_t i = 0; i < trouble->block; ++i) {
        const uint64_t now = tick + i;
        gates_in[i] = 0;
        if (trouble->clock_ticks != 0) {
            gates_in[i] = (now / (trouble->clock_ticks + 1u) & 1u) ? (uint32_t)(now / 7919u) | 1u : 0u;
        }
        for (size_t c = 0; c < PORT_MAX_AUDIO; ++c) {
            audio_in[c][i] = trouble->sound ? rubbish() * 2.0f : share() - 0.5f;
        }
    }
}

static void remote(void) {
    for (uint32_t n = roll(20); n > 0; --n) {
        const PortCommand command = {
            .kind = (uint8_t)roll(10), .index = (uint8_t)(roll(4) ? roll(8) : roll(256)), .value = rubbish()};
        (void)instrument_post(command);
    }
    if (roll(10) == 0) {
        float codes[PORT_MAX_POINTS], volts[PORT_MAX_POINTS];
        for (size_t i = 0; i < PORT_MAX_POINTS; ++i) {
            codes[i] = rubbish();
            volts[i] = 10.0f * rubbish() - 5.0f;
        }
        (void)instrument_calibrate((uint8_t)roll(30), (uint8_t)roll(14), codes, volts);
    }
    if (roll(10) == 0) {
        power = roll(3) == 0 ? roll(9000) : UINT32_MAX;
        (void)instrument_idle(&storage);
        if (roll(20) == 0) {
            flash[roll(PORT_STORAGE_BYTES)] ^= (uint8_t)(1u << roll(8));
        }
    }
}

/* The name of what is not as promised; NULL: all is. */
static const char *broken(const PortInfo *info, size_t ticks) {
    for (size_t i = 0; i < ticks; ++i) {
        for (size_t c = 0; c < info->audio_out; ++c) {
            if (!(audio_out[c][i] >= -1.0f && audio_out[c][i] <= 1.0f)) {
                return "audio";
            }
        }
        for (size_t c = 0; c < info->cv_outs; ++c) {
            if (!(cv_out[c][i] >= -10.0f && cv_out[c][i] <= 10.0f)) {
                return "a CV output";
            }
        }
        if ((gates_out[i] >> 1) >> (info->gates_out - 1u) != 0) {
            return "a gate output";
        }
    }
    PortReport report;
    instrument_report(&report);
    for (size_t p = 0; p < info->parameters; ++p) {
        if (!(report.position[p] >= 0.0f && report.position[p] <= 1.0f) || report.value[p] != report.value[p]) {
            return info->parameter[p].name;
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    const double seconds = argc > 1 ? atof(argv[1]) : 10.0;
    const uint32_t first_seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1u;
    seed = first_seed * 2654435769u | 1u;
    const PortInfo *info = instrument_info();
    const float *ins[PORT_MAX_AUDIO] = {audio_in[0], audio_in[1]};
    float *outs[PORT_MAX_AUDIO] = {audio_out[0], audio_out[1]};
    float *cvs[PORT_MAX_CV_OUTS];
    for (size_t c = 0; c < PORT_MAX_CV_OUTS; ++c) {
        cvs[c] = cv_out[c];
    }
    memset(flash, 0xFF, sizeof flash);
    instrument_init(info->sample_rate_hz);
    (void)instrument_idle(&storage);
    const uint64_t end = (uint64_t)(seconds * (double)info->sample_rate_hz);
    uint64_t tick = 0, next_trouble = 0, blocks = 0, loud = 0;
    Trouble trouble = trouble_now();
    for (; tick < end; tick += trouble.block, ++blocks) {
        if (tick >= next_trouble) {
            trouble = trouble_now();
            next_trouble = tick + 4800u + roll(96000);
            if (trouble.restart) {
                roll(2) ? instrument_reset() : instrument_init(info->sample_rate_hz);
            }
        }
        make_inputs(&trouble, tick);
        if (trouble.remote) {
            remote();
        }
        const PortBlock block = {.ticks = trouble.block,
                                 .inputs = readings,
                                 .gates_in = gates_in,
                                 .audio_in = roll(1000) ? ins : NULL,
                                 .audio_out = outs,
                                 .cv_out = cvs,
                                 .gates_out = gates_out};
        instrument_render(&block);
        const char *what = broken(info, trouble.block);
        if (what != NULL) {
            printf("%s went out of bounds at sample %llu, seed %u\n", what, (unsigned long long)tick, first_seed);
            return 1;
        }
        loud += info->audio_out > 0 && (audio_out[0][0] > 1e-4f || audio_out[0][0] < -1e-4f);
    }
    printf("%s: %llu blocks, %.0f s of sound, %llu blocks with sound, all bounded\n", info->title,
           (unsigned long long)blocks, seconds, (unsigned long long)loud);
    return 0;
}
