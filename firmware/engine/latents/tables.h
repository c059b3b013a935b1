/* Two tables of latents: a gate records what the encoder or the hands do, then it is played as a loop.
 *
 * A table holds a hundred frames a second. Speed, position and crop say where it is read, morph goes from the first
 * to the second. An empty table is what the hands do: while both are empty, there is nothing here, to the bit.
 * Positions are integers, so every target reads the same.
 */
#ifndef VAECTROL_LATENTS_TABLES_H
#define VAECTROL_LATENTS_TABLES_H

#include "../control/panel.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TABLES 2u
#define TABLE_FRAME_HZ 100.0f
#define TABLE_FULL 32767.0f /* of a latent's way from the middle of its quantile table to an end */

typedef int16_t TableFrame[PORT_TABLE_LATENTS];

typedef struct LatentTable {
    TableFrame *frame; /* [PORT_TABLE_FRAMES], in memory that may be slow */
    uint32_t frames;   /* 0: empty, or being recorded */
    uint32_t taken;    /* frames of a recording so far */
    uint32_t takes;    /* recordings since power on: what is stored follows */
    float due;         /* frames until the next is taken */
    uint32_t edges;    /* of its gate, that were obeyed */
    bool records;
    /* Straight lines from one frame to the next, as long as it is read between these. */
    const int16_t *from, *to;
    uint32_t read; /* takes then */
    float base[PORT_TABLE_LATENTS], rise[PORT_TABLE_LATENTS];
} LatentTable;

typedef struct Tables {
    LatentTable table[TABLES];
    uint32_t place;  /* in the loop; all of it is 2³² */
    uint32_t starts; /* edges of the gate that starts it over, that were obeyed */
} Tables;

typedef struct TablesSpec {
    /* A pointer, so that a layer without tables doesn't link them. */
    void (*play)(Tables *tables, const struct TablesSpec *spec, const Panel *panel, size_t ticks, float *latent);
    uint8_t latents;
    float sample_rate_hz;
    const float *centre, *reach;  /* [latents] the middle of a quantile table; from there to an end, over TABLE_FULL */
    uint32_t hash;                /* of the model's latents: tables of another are not its own */
    int8_t record[TABLES], start; /* gate functions */
    int8_t depth, speed, position, begin, length, morph; /* parameters */
} TablesSpec;

void tables_init(Tables *tables, TableFrame *frames); /* [TABLES·PORT_TABLE_FRAMES] */
void tables_play(Tables *tables, const TablesSpec *spec, const Panel *panel, size_t ticks, float *latent);

/* What port.h promises. */
bool tables_read(const Tables *tables, const TablesSpec *spec, uint8_t which, PortTable *table);
const char *tables_write(Tables *tables, const TablesSpec *spec, uint8_t which, uint32_t hash, uint32_t at,
                         const int16_t *frame, uint32_t frames);

#ifdef __cplusplus
}
#endif
#endif
