/* Two tables of latents, recorded and played. */
#include "tables.h"

#include "../control/bound.h"

#define CIRCLE 4294967040.0f /* the greatest float below 2³² */
#define MOST_TURN 0.5f       /* of the loop, in a block */

static uint8_t held(const TablesSpec *spec) {
    return spec->latents < PORT_TABLE_LATENTS ? spec->latents : (uint8_t)PORT_TABLE_LATENTS;
}

void tables_init(Tables *tables, TableFrame *frames) {
    *tables = (Tables){0};
    for (size_t t = 0; t < TABLES; ++t) {
        tables->table[t].frame = frames + t * PORT_TABLE_FRAMES;
    }
}

static void take_frame(LatentTable *table, const TablesSpec *spec, const float *latent) {
    int16_t *frame = table->frame[table->taken];
    for (uint8_t i = 0; i < held(spec); ++i) {
        const float reach = spec->reach[i] * TABLE_FULL;
        const float share = reach > 0.0f ? bound((latent[i] - spec->centre[i]) / reach, -1.0f, 1.0f) : 0.0f;
        frame[i] = (int16_t)(share * TABLE_FULL + (share < 0.0f ? -0.5f : 0.5f));
    }
    for (uint8_t i = held(spec); i < PORT_TABLE_LATENTS; ++i) {
        frame[i] = 0;
    }
    ++table->taken;
}

static void finish(LatentTable *table, uint32_t frames) {
    table->records = false;
    __atomic_store_n(&table->takes, table->takes + 1u, __ATOMIC_RELEASE);
    __atomic_store_n(&table->frames, frames, __ATOMIC_RELEASE);
}

static void record(LatentTable *table, const TablesSpec *spec, bool high, bool rises, float frames,
                   const float *latent) {
    if (rises) {
        table->records = true;
        __atomic_store_n(&table->frames, 0u, __ATOMIC_RELEASE);
        table->taken = 0;
        table->due = 0.0f;
    }
    if (!table->records) {
        return;
    }
    if (table->due <= 0.0f && (high || rises)) {
        take_frame(table, spec, latent);
        table->due += 1.0f;
    }
    table->due -= frames;
    if (!high || table->taken == PORT_TABLE_FRAMES) {
        finish(table, table->taken);
    }
}

/* Where the loop is read: frames of a table, from its first one on. */
typedef struct Loop {
    float begin, length; /* shares of the table */
    uint32_t place;
} Loop;

static uint32_t loop_frames(const LatentTable *table, const Loop *loop) {
    const float frames = loop->length * (float)table->frames + 0.5f;
    return frames < 1.0f ? 1u : (uint32_t)frames;
}

static void read_between(LatentTable *table, const TablesSpec *spec, const int16_t *from, const int16_t *to) {
    table->from = from;
    table->to = to;
    table->read = table->takes;
    for (uint8_t i = 0; i < held(spec); ++i) {
        table->base[i] = spec->centre[i] + spec->reach[i] * (float)from[i];
        table->rise[i] = spec->reach[i] * (float)(to[i] - from[i]);
    }
}

/* Goes to a place of the loop; how far it is from one frame to the next, also from the last of the loop to its first.
 */
static float go_to(LatentTable *table, const TablesSpec *spec, const Loop *loop) {
    const uint32_t frames = table->frames;
    if (frames == 0) {
        return 0.0f;
    }
    const uint32_t count = loop_frames(table, loop);
    const uint32_t first = (uint32_t)(loop->begin * (float)(frames - 1u));
    const float at = (float)(loop->place >> 8) * (1.0f / 16777216.0f) * (float)count;
    uint32_t here = (uint32_t)at;
    here = here < count ? here : count - 1u;
    const uint32_t next = here + 1u < count ? here + 1u : 0u;
    const int16_t *from = table->frame[(first + here) % frames], *to = table->frame[(first + next) % frames];
    if (from != table->from || to != table->to || table->read != table->takes) {
        read_between(table, spec, from, to);
    }
    return at - (float)here;
}

/* What the table says; an empty one says what the hands do. */
static inline float said(const LatentTable *table, float way, uint8_t latent, float hands) {
    return table->frames == 0 ? hands : table->base[latent] + way * table->rise[latent];
}

static float setting(const Panel *panel, int8_t parameter) { return panel_value(panel, (uint8_t)parameter); }

static Loop advance(Tables *tables, const TablesSpec *spec, const Panel *panel, float frames) {
    Loop loop = {.begin = bound_unit(setting(panel, spec->begin)), .length = bound_unit(setting(panel, spec->length))};
    const LatentTable *longest = &tables->table[tables->table[1].frames > tables->table[0].frames ? 1 : 0];
    const float count = (float)loop_frames(longest, &loop);
    if (panel->edges[spec->start] != tables->starts) {
        tables->starts = panel->edges[spec->start];
        tables->place = 0;
    } else {
        const float turn = bound(setting(panel, spec->speed) * frames / count, -MOST_TURN, MOST_TURN);
        tables->place += (uint32_t)(int32_t)(turn * CIRCLE);
    }
    /* All of the way leads to the last frame, not round to the first. */
    const float position = bound_unit(setting(panel, spec->position)) * (count - 1.0f) / count;
    loop.place = tables->place + (uint32_t)(position * CIRCLE);
    return loop;
}

void tables_play(Tables *tables, const TablesSpec *spec, const Panel *panel, size_t ticks, float *latent) {
    const float frames = (float)ticks * TABLE_FRAME_HZ / spec->sample_rate_hz;
    for (size_t t = 0; t < TABLES; ++t) {
        LatentTable *table = &tables->table[t];
        const uint32_t edges = panel->edges[spec->record[t]];
        record(table, spec, panel->last_level >> spec->record[t] & 1u, edges != table->edges, frames, latent);
        table->edges = edges;
    }
    /* While one is recorded, the hands are heard. */
    const bool records = tables->table[0].records || tables->table[1].records;
    if (records || (tables->table[0].frames == 0 && tables->table[1].frames == 0)) {
        return;
    }
    const Loop loop = advance(tables, spec, panel, frames);
    const float depth = bound_unit(setting(panel, spec->depth)), morph = bound_unit(setting(panel, spec->morph));
    if (depth <= 0.0f) {
        return;
    }
    LatentTable *one = &tables->table[0], *other = &tables->table[1];
    const float way = go_to(one, spec, &loop), other_way = morph > 0.0f ? go_to(other, spec, &loop) : 0.0f;
    for (uint8_t i = 0; i < held(spec); ++i) {
        const float from = said(one, way, i, latent[i]);
        const float to = morph > 0.0f ? said(other, other_way, i, latent[i]) : from;
        const float blend = morph < 1.0f ? from + morph * (to - from) : to;
        latent[i] = depth < 1.0f ? latent[i] + depth * (blend - latent[i]) : blend;
    }
}

bool tables_read(const Tables *tables, const TablesSpec *spec, uint8_t which, PortTable *table) {
    if (which >= TABLES) {
        return false;
    }
    const LatentTable *from = &tables->table[which];
    *table = (PortTable){
        .hash = spec->hash, .frames = __atomic_load_n(&from->frames, __ATOMIC_ACQUIRE), .frame = from->frame[0]};
    return true;
}

const char *tables_write(Tables *tables, const TablesSpec *spec, uint8_t which, uint32_t hash, uint32_t at,
                         const int16_t *frame, uint32_t frames) {
    if (which >= TABLES) {
        return "there is no such table";
    }
    if (hash != spec->hash) {
        return "the table is of another model";
    }
    if (at > PORT_TABLE_FRAMES || frames > PORT_TABLE_FRAMES - at || (frames == 0 && at == 0)) {
        return "a table has 1 to 2000 frames";
    }
    LatentTable *table = &tables->table[which];
    if (table->records) {
        return "the table is being recorded";
    }
    if (frames == 0) {
        finish(table, at);
        return NULL;
    }
    __atomic_store_n(&table->frames, 0u, __ATOMIC_RELEASE);
    for (uint32_t f = 0; f < frames; ++f) {
        for (uint32_t i = 0; i < PORT_TABLE_LATENTS; ++i) {
            const int16_t value = frame[f * PORT_TABLE_LATENTS + i];
            table->frame[at + f][i] = value == INT16_MIN ? -INT16_MAX : value;
        }
    }
    return NULL;
}
