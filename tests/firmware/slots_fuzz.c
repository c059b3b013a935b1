/* Slot files that were changed somewhere, their sums made right again, sent in good order and in bad: each is refused,
 * or it plays and does no harm. Built with the sanitizers by test_slots.py.
 *
 * slots_fuzz FILE COUNT SEED — FILE: a slot file that fits. Prints how many were refused, by which sentence.
 */
#include "control/store.h"
#include "slots/slot_store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WHYS 16u

static uint32_t seed;
static uint32_t roll(uint32_t sides) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % sides;
}

static uint8_t flash[PORT_STORAGE_BYTES];
static bool flash_read(void *context, uint32_t address, void *data, size_t bytes) {
    (void)context;
    memcpy(data, flash + address, bytes);
    return roll(2000) != 0;
}
static bool flash_erase(void *context, uint32_t address) {
    (void)context;
    memset(flash + address, 0xFF, PORT_SECTOR_BYTES);
    return roll(2000) != 0;
}
static bool flash_program(void *context, uint32_t address, const void *data, size_t bytes) {
    (void)context;
    memcpy(flash + address, data, bytes);
    return roll(2000) != 0;
}
static const PortStorage storage = {NULL, flash_read, flash_erase, flash_program};

typedef struct File {
    ModelHead head;
    uint8_t payload[MODEL_MOST_BYTES];
} File;
static File good, changed;

static uint32_t odd_word(void) {
    static const float floats[] = {1e30f, -1e30f, 1e-42f, 0.0f, 1048576.0f, -1048576.0f, 3e38f, 1e-12f};
    static const uint32_t words[] = {0x7fc00000u, 0x7f800000u, 0xff800000u, 0x7fffffffu,
                                     0x80000000u, 0xffffffffu, 0x7f7f7f7fu, 0x80808080u};
    uint32_t word;
    const uint32_t which = roll(8);
    memcpy(&word, &floats[which], sizeof word);
    switch (roll(4)) {
    case 0: return word;
    case 1: return words[which];
    case 2: return roll(64);
    default: return roll(UINT32_MAX);
    }
}

static void change(void) {
    changed = good;
    const uint32_t bytes = good.head.bytes;
    for (uint32_t times = 1u + roll(4); times > 0; --times) {
        const uint32_t at = roll(bytes), word = odd_word();
        switch (roll(5)) {
        case 0: changed.payload[at] ^= (uint8_t)(1u << roll(8)); break;
        case 1: memset(changed.payload + at, roll(3) ? 0x80 : 0x7f, roll(bytes - at)); break;
        case 2:
            for (uint32_t i = at / 4u * 4u, end = i + 4u * roll(64); i + 4u <= bytes && i < end; i += 4u)
                memcpy(changed.payload + i, &word, 4);
            break;
        default:
            if (at / 4u * 4u + 4u <= bytes) memcpy(changed.payload + at / 4u * 4u, &word, 4);
            break;
        }
    }
    if (roll(16) == 0) ((uint8_t *)&changed.head)[roll(sizeof changed.head)] ^= (uint8_t)(1u << roll(8));
    if (roll(16) != 0) changed.head.crc = store_crc32(0, changed.payload, bytes);
}

static const char *send(uint8_t slot) {
    const size_t head = roll(64) ? sizeof changed.head : roll(sizeof changed.head);
    const char *why = instrument_model_begin(&storage, slot, &changed.head, head);
    for (uint32_t at = 0; at < good.head.bytes && why == NULL;) {
        const uint32_t left = good.head.bytes - at, part = left < 540u ? left : 540u;
        const uint32_t told = roll(4000) ? at : roll(UINT32_MAX);
        why = instrument_model_data(&storage, told, changed.payload + at, roll(4000) ? part : part + roll(9));
        at += part;
    }
    return why != NULL ? why : instrument_model_commit(&storage);
}

/* The callback and the main loop for a while; false: a number that is none. */
static bool play(uint32_t blocks) {
    static float audio_in[PORT_MAX_AUDIO][PORT_MAX_BLOCK], audio[PORT_MAX_AUDIO][PORT_MAX_BLOCK];
    static float inputs[PORT_MAX_INPUTS], cv[PORT_MAX_CV_OUTS][PORT_MAX_BLOCK];
    static uint32_t gates_in[PORT_MAX_BLOCK], gates_out[PORT_MAX_BLOCK];
    const float *ins[PORT_MAX_AUDIO];
    float *outs[PORT_MAX_AUDIO], *cvs[PORT_MAX_CV_OUTS];
    bool finite = true;
    for (size_t c = 0; c < PORT_MAX_AUDIO; ++c) {
        ins[c] = audio_in[c];
        outs[c] = audio[c];
    }
    for (size_t c = 0; c < PORT_MAX_CV_OUTS; ++c) cvs[c] = cv[c];
    for (; blocks > 0; --blocks) {
        for (size_t i = 0; i < PORT_MAX_INPUTS; ++i) inputs[i] = (float)roll(4097) / 4096.0f;
        for (size_t i = 0; i < 48; ++i) {
            gates_in[i] = roll(16) ? 0u : roll(16);
            for (size_t c = 0; c < PORT_MAX_AUDIO; ++c) audio_in[c][i] = (float)roll(4097) / 2048.0f - 1.0f;
        }
        instrument_render(&(PortBlock){48, inputs, gates_in, ins, outs, cvs, gates_out});
        for (size_t i = 0; i < 48; ++i) finite = finite && isfinite(audio[0][i]) && isfinite(audio[1][i]);
        (void)instrument_idle(&storage);
    }
    return finite;
}

static struct {
    const char *why;
    uint32_t count;
} refused[MOST_WHYS];

static void count(const char *why) {
    size_t i = 0;
    while (i < MOST_WHYS - 1u && refused[i].why != NULL && strcmp(refused[i].why, why) != 0) ++i;
    refused[i].why = why;
    ++refused[i].count;
}

int main(int words, char **word) {
    if (words != 4) return 2;
    FILE *file = fopen(word[1], "rb");
    if (file == NULL || fread(&good, 1, sizeof good, file) < sizeof good.head) return 2;
    fclose(file);
    seed = (uint32_t)atoi(word[3]) * 2654435761u | 1u;
    memset(flash, 0xFF, sizeof flash);
    instrument_load(&storage);
    instrument_init(48000.0f);
    uint32_t played = 0, ugly = 0;
    for (int n = atoi(word[2]); n > 0; --n) {
        change();
        const uint8_t slot = (uint8_t)(1u + roll(2));
        const char *why = send(slot);
        if (why == NULL) why = instrument_model_use(&storage, slot);
        if (why != NULL) {
            count(why);
            continue;
        }
        ++played;
        ugly += !play(12);
        if (roll(50) == 0) { /* power off and on */
            instrument_load(&storage);
            instrument_init(48000.0f);
        }
    }
    printf("played %u, ugly %u\n", played, ugly);
    for (size_t i = 0; i < MOST_WHYS && refused[i].why != NULL; ++i)
        printf("%u %s\n", refused[i].count, refused[i].why);
    return 0;
}
