/* Tables of latents alone, on a panel and a flash that the test fills, for the tests. */
#include <stddef.h>
#include <string.h>

#include "latents/table_store.h"
#include "shim_flash.h"

#define BLOCK 480u /* a frame a block */
#define LATENTS 2u
#define SETTINGS 6u /* in the order of the parameters of a TablesSpec */

/* What training data had: 0 … 8, and 0 … −8. */
static const float centre[] = {4.0f, -4.0f}, reach[] = {4.0f / TABLE_FULL, 4.0f / TABLE_FULL};
static TablesSpec spec = {.play = tables_play,
                          .latents = LATENTS,
                          .sample_rate_hz = 48000.0f,
                          .centre = centre,
                          .reach = reach,
                          .hash = 77u,
                          .record = {0, 1},
                          .start = 2,
                          .depth = 0,
                          .speed = 1,
                          .position = 2,
                          .begin = 3,
                          .length = 4,
                          .morph = 5};
static Panel panel;
static TableFrame frames[TABLES * PORT_TABLE_FRAMES], frames_back[TABLES * PORT_TABLE_FRAMES];
static Tables tables, read_back;
static TableStore store;

size_t shim_tables_bytes(void) { return sizeof frames; }
size_t shim_store_bytes(void) { return sizeof store + sizeof tables; }

void shim_forget(void) {
    panel = (Panel){.ticks = 48};
    tables_init(&tables, frames);
    table_store_init(&store);
}

/* Blocks of a frame each; gates[blocks]: of table a, table b, start; settings[blocks][6]; latent[blocks][2]: in, out. */
void shim_play(size_t blocks, const uint8_t *gates, const float *settings, float *latent) {
    for (size_t b = 0; b < blocks; ++b) {
        for (size_t i = 0; i < SETTINGS; ++i) {
            panel.parameter[i].value.to = settings[b * SETTINGS + i];
        }
        for (size_t g = 0; g < 3; ++g) {
            panel.edges[g] += (gates[b] & ~panel.last_level) >> g & 1u;
        }
        panel.last_level = gates[b];
        tables_play(&tables, &spec, &panel, BLOCK, latent + b * LATENTS);
    }
}

uint32_t shim_frames(uint8_t which) { return tables.table[which].frames; }
const int16_t *shim_frame(uint8_t which) { return tables.table[which].frame[0]; }
const char *shim_write(uint8_t which, uint32_t hash, uint32_t at, const int16_t *frame, uint32_t frames) {
    return tables_write(&tables, &spec, which, hash, at, frame, frames);
}
void shim_model(uint32_t hash) { spec.hash = hash; }

uint8_t *shim_flash(void) { return flash; }
void shim_power(uint32_t bytes, uint32_t seed, uint32_t is_broken) {
    left = bytes;
    dirt = seed;
    broken = is_broken;
}
const char *shim_idle(void) { return table_store_idle(&store, &tables, &spec, &storage); }

/* Idles until there is nothing to write any more; whether all was written. */
bool shim_settle(void) {
    for (uint32_t turn = 0; turn < 64; ++turn) {
        if (shim_idle() != NULL) {
            return false;
        }
    }
    return true;
}

/* One frame of a table says which one it is. */
static void fill(uint8_t which, uint32_t frames, int16_t value) {
    int16_t frame[PORT_TABLE_LATENTS];
    for (uint32_t f = 0; f < frames; ++f) {
        for (uint32_t i = 0; i < PORT_TABLE_LATENTS; ++i) {
            frame[i] = (int16_t)(value + (int16_t)(f % 100u) - (int16_t)i);
        }
        (void)tables_write(&tables, &spec, which, spec.hash, f, frame, 1);
    }
    (void)tables_write(&tables, &spec, which, spec.hash, frames, NULL, 0);
}

static bool is_filled(const Tables *found, uint8_t which, uint32_t frames, int16_t value) {
    const LatentTable *table = &found->table[which];
    for (uint32_t f = 0; f < table->frames; ++f) {
        for (uint32_t i = 0; i < PORT_TABLE_LATENTS; ++i) {
            if (table->frame[f][i] != (int16_t)(value + (int16_t)(f % 100u) - (int16_t)i)) {
                return false;
            }
        }
    }
    return table->frames == frames;
}

/* What a module finds when it is switched on again: 1 the old table, 2 the new one, 0 neither; b must be there. */
static uint32_t found(uint32_t old_frames, uint32_t new_frames) {
    TableStore fresh;
    table_store_init(&fresh);
    tables_init(&read_back, frames_back);
    (void)table_store_idle(&fresh, &read_back, &spec, &storage);
    if (!is_filled(&read_back, 1, 5, -3000)) {
        return 0;
    }
    return is_filled(&read_back, 0, new_frames, 2000) ? 2u : is_filled(&read_back, 0, old_frames, 1000) ? 1u : 0u;
}

/* Cuts the save of a new table a at every byte, over an old one and a table b. Returns how many cuts left neither. */
uint32_t shim_cut_everywhere(uint32_t old_frames, uint32_t new_frames, uint32_t *cuts, uint32_t *news) {
    uint32_t lost = 0;
    memset(flash, 0xFF, sizeof flash);
    shim_forget();
    shim_power(UINT32_MAX, 1, 0);
    fill(0, old_frames, 1000);
    fill(1, 5, -3000);
    (void)shim_settle();
    const TableStore before = store;
    memcpy(image, flash, sizeof flash);
    fill(0, new_frames, 2000);
    *news = 0;
    for (*cuts = 0;; ++*cuts) {
        memcpy(flash, image, sizeof flash);
        store = before;
        shim_power(*cuts, *cuts, 0);
        const bool whole = shim_settle();
        const uint32_t there = found(old_frames, new_frames);
        *news += there == 2u;
        lost += whole ? there != 2u : there == 0u;
        if (whole) {
            return lost;
        }
    }
}
