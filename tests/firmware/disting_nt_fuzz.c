/* A module gone mad around a plug-in, under the sanitizers: steps of any length, parameters, MIDI, displays, presets,
 * instances that come and go, each in memory of exactly the size that it asked for.
 *
 * disting_nt_fuzz SEQUENCES SEED. Exit status 1 and one line where a promise broke.
 */
#include "abi.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uintptr_t pluginEntry(uint32_t selector, uint32_t data);

static uint32_t seed;
static uint32_t roll(uint32_t sides) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % sides;
}

/* ---- what the module offers ---- */

enum { LONGEST = 512, ALIVE = 3 };
NtGlobals NT_globals = {.sample_rate_hz = 48000, .max_frames = 128};
static const NtFactory *factory;

typedef struct Slot {
    NtAlgorithm *algorithm;
    uint8_t *memory[4];
    int16_t *values;
    uint32_t parameters;
} Slot;
static Slot slots[ALIVE];
static unsigned long long drawn, sent;

uint32_t NT_getCpuCycleCount(void);
int32_t NT_algorithmIndex(const NtAlgorithm *algorithm);
uint32_t NT_parameterOffset(void);
void NT_setParameterFromAudio(uint32_t algorithm, uint32_t parameter, int16_t value);
void NT_drawText(int x, int y, const char *text, int colour, int align, int size);
void NT_drawShapeI(int shape, int x0, int y0, int x1, int y1, int colour);
void NT_sendMidiSysEx(uint32_t to, const uint8_t *data, uint32_t count, bool end);
void nt_json_name(NtJsonStream *stream, const char *name);
void nt_json_string(NtJsonStream *stream, const char *text);
bool nt_parse_members(NtJsonParse *parse, int *count);
bool nt_parse_name(NtJsonParse *parse, const char *name);
bool nt_parse_skip(NtJsonParse *parse);
bool nt_parse_string(NtJsonParse *parse, const char **text);

uint32_t NT_getCpuCycleCount(void) { return roll(0xFFFFFFFFu); }
int32_t NT_algorithmIndex(const NtAlgorithm *algorithm) {
    for (int32_t i = 0; i < ALIVE; ++i) {
        if (slots[i].algorithm == algorithm) {
            return i;
        }
    }
    return -1;
}
uint32_t NT_parameterOffset(void) { return 1; }

static void broken(const char *what) {
    printf("%s\n", what);
    exit(1);
}

static void set(Slot *slot, uint32_t parameter, int16_t value) {
    const NtParameter *about = &slot->algorithm->parameter[parameter];
    if (value < about->min || value > about->max) {
        broken("a parameter was set beyond its range");
    }
    slot->values[1 + parameter] = value;
    factory->parameter_changed(slot->algorithm, (int)parameter);
}

void NT_setParameterFromAudio(uint32_t algorithm, uint32_t parameter, int16_t value) {
    set(&slots[algorithm], parameter - 1u, value);
}
void NT_drawText(int x, int y, const char *text, int colour, int align, int size) {
    (void)align;
    (void)size;
    if (x < 0 || x > 256 || y < 0 || y > 64 || colour < 0 || colour > 15 || strlen(text) > 60) {
        broken("text lies beside the display");
    }
    ++drawn;
}
void NT_drawShapeI(int shape, int x0, int y0, int x1, int y1, int colour) {
    if (shape < 0 || x0 < 0 || x0 > x1 || x1 > 255 || y0 < 0 || y0 > y1 || y1 > 63 || colour < 0 || colour > 15) {
        broken("a shape lies beside the display");
    }
    ++drawn;
}
void NT_sendMidiSysEx(uint32_t to, const uint8_t *data, uint32_t count, bool end) {
    (void)to;
    for (uint32_t i = 0; i < count; ++i) {
        if (data[i] > 0x7F && !(i == 0 && !end && data[i] == 0xF0)) {
            broken("a System Exclusive message holds a byte above 7F");
        }
    }
    ++sent;
}
void nt_json_name(NtJsonStream *stream, const char *name) {
    (void)stream;
    (void)strlen(name);
}
void nt_json_string(NtJsonStream *stream, const char *text) {
    (void)stream;
    (void)strlen(text);
}
bool nt_parse_members(NtJsonParse *parse, int *count) {
    (void)parse;
    *count = (int)roll(4);
    return roll(5) != 0;
}
bool nt_parse_name(NtJsonParse *parse, const char *name) {
    (void)parse;
    (void)strlen(name);
    return roll(2) != 0;
}
bool nt_parse_skip(NtJsonParse *parse) {
    (void)parse;
    return roll(5) != 0;
}
bool nt_parse_string(NtJsonParse *parse, const char **text) {
    (void)parse;
    *text = roll(2) ? "deadbeef" : "";
    return roll(5) != 0;
}

/* ---- what it does ---- */

static void drop(Slot *slot) {
    for (int i = 0; i < 4; ++i) {
        free(slot->memory[i]);
    }
    free(slot->values);
    *slot = (Slot){0};
}

static uint8_t *piece(uint32_t bytes) {
    uint8_t *memory = bytes != 0 ? malloc(bytes) : NULL;
    if (memory != NULL) {
        memset(memory, (int)roll(256), bytes); /* the module promises nothing about it */
    }
    return memory;
}

static void make(Slot *slot) {
    const NtSpecification *about = &factory->specification[0];
    const int32_t chosen[] = {about->min + (int32_t)roll((uint32_t)(about->max - about->min) + 1u)};
    const int32_t *const specification = roll(4) ? chosen : NULL;
    NtRequirements needs;
    memset(&needs, 0xFF, sizeof needs);
    factory->requirements(&needs, specification);
    const NtMemory memory = {piece(needs.sram), piece(needs.dram), piece(needs.dtc), piece(needs.itc)};
    slot->memory[0] = memory.sram;
    slot->memory[1] = memory.dram;
    slot->memory[2] = memory.dtc;
    slot->memory[3] = memory.itc;
    slot->algorithm = factory->construct(&memory, &needs, specification);
    slot->parameters = needs.parameters;
    slot->values = malloc((1u + needs.parameters) * sizeof *slot->values);
    slot->values[0] = 0;
    for (uint32_t p = 0; p < needs.parameters; ++p) {
        slot->values[1 + p] = slot->algorithm->parameter[p].def;
    }
    slot->algorithm->all_values = slot->values;
    slot->algorithm->value = slot->values + 1;
    for (uint32_t p = 0; p < needs.parameters; ++p) {
        factory->parameter_changed(slot->algorithm, (int)p);
    }
}

static float rubbish(void) {
    switch (roll(16)) {
    case 0: return NAN;
    case 1: return INFINITY;
    case 2: return -1e30f;
    case 3: return 1e-42f;
    default: return (float)roll(20001) / 1000.0f - 10.0f;
    }
}

static void step(Slot *slot) {
    const int by_4 = (int)(1u + roll(roll(4) ? 8u : LONGEST / 4u));
    const size_t frames = (size_t)by_4 * 4u, floats = NT_LAST_BUS * frames;
    float *buses = malloc(floats * sizeof *buses);
    const bool mad = roll(3) == 0;
    for (size_t i = 0; i < floats; ++i) {
        buses[i] = mad ? rubbish() : roll(50) ? 0.0f : 5.0f;
    }
    for (uint32_t p = 0; p < slot->parameters; ++p) { /* what is added to a mad bus is mad: outputs replace */
        if (slot->algorithm->parameter[p].unit == NT_UNIT_OUTPUT_MODE && mad) {
            set(slot, p, 1);
        }
    }
    factory->step(slot->algorithm, buses, by_4);
    for (uint32_t p = 0; p + 1u < slot->parameters; ++p) {
        const NtParameter *about = &slot->algorithm->parameter[p];
        const int bus = slot->values[1 + p];
        const bool is_output = about->unit == NT_UNIT_AUDIO_OUTPUT || about->unit == NT_UNIT_CV_OUTPUT;
        bool is_shared = false;
        for (uint32_t q = 0; q < slot->parameters; ++q) {
            const uint8_t unit = slot->algorithm->parameter[q].unit;
            is_shared = is_shared || (q != p && unit >= NT_UNIT_AUDIO_INPUT && unit < NT_UNIT_OUTPUT_MODE &&
                                      slot->values[1 + q] == bus);
        }
        for (size_t i = 0; is_output && bus > 0 && !is_shared && slot->values[2 + p] && i < frames; ++i) {
            if (!(fabsf(buses[(size_t)(bus - 1) * frames + i]) <= 10.0f)) {
                broken(about->name);
            }
        }
    }
    free(buses);
}

static void midi(Slot *slot) {
    static const uint8_t realtime[] = {0xF8, 0xFA, 0xFB, 0xFC, 0xFE};
    for (uint32_t n = roll(40); n > 0; --n) {
        if (roll(3) == 0) {
            factory->midi_realtime(slot->algorithm, realtime[roll(5)]);
        } else {
            factory->midi_message(slot->algorithm, (uint8_t)(0x80u + roll(0x70)), (uint8_t)roll(128),
                                  (uint8_t)roll(128));
        }
    }
}

static void turn(Slot *slot) {
    for (uint32_t n = roll(2) ? roll(4) : slot->parameters; n > 0; --n) {
        const uint32_t p = roll(slot->parameters);
        const NtParameter *about = &slot->algorithm->parameter[p];
        set(slot, p, (int16_t)(about->min + (int)roll((uint32_t)(about->max - about->min) + 1u)));
    }
}

static void show(Slot *slot) {
    (void)factory->draw(slot->algorithm);
    char *text = malloc(NT_STRING_BYTES);
    const uint32_t p = roll(slot->parameters);
    const int length = factory->parameter_string(slot->algorithm, (int)p, (int)roll(1001), text);
    if (length < 0 || length >= NT_STRING_BYTES || strlen(text) != (size_t)length) {
        broken("a printed value is not as long as it says");
    }
    free(text);
}

int main(int argc, char **argv) {
    const long sequences = argc > 1 ? atol(argv[1]) : 100;
    seed = (argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1u) * 2654435769u | 1u;
    if (pluginEntry(NT_SELECT_VERSION, 0) != NT_API_VERSION || pluginEntry(NT_SELECT_FACTORIES, 0) != 1 ||
        pluginEntry(NT_SELECT_FACTORY, 1) != 0 || pluginEntry(99, 0) != 0) {
        broken("the entry does not answer as it should");
    }
    factory = (const NtFactory *)pluginEntry(NT_SELECT_FACTORY, 0);
    unsigned long long steps = 0, made = 0;
    for (long s = 0; s < sequences; ++s) {
        Slot *slot = &slots[roll(ALIVE)];
        if (slot->algorithm != NULL && roll(4) == 0) {
            drop(slot);
        }
        if (slot->algorithm == NULL) {
            NT_globals.max_frames = (const uint32_t[]){24, 32, 64, 128, LONGEST, 0}[roll(6)];
            make(slot);
            ++made;
        }
        NT_globals.sample_rate_hz = roll(20) ? 48000u : 44100u;
        for (uint32_t n = 1u + roll(12); n > 0; --n, ++steps) {
            switch (roll(6)) {
            case 0: turn(slot); break;
            case 1: midi(slot); break;
            case 2: show(slot); break;
            case 3: factory->serialise(slot->algorithm, NULL); break;
            case 4: (void)factory->deserialise(slot->algorithm, NULL); break;
            default: break;
            }
            step(slot);
        }
    }
    for (int i = 0; i < ALIVE; ++i) {
        drop(&slots[i]);
    }
    printf("%ld sequences, %llu steps, %llu instances, %llu things drawn, %llu messages: all bounded\n", sequences,
           steps, made, drawn, sent);
    return 0;
}
