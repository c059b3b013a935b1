/* One instrument in a host that asks for any number of samples: commands, keys and a clock go in, sound comes out.
 *
 * Samples gather until a block of the board is full; then it is rendered. So what comes out is what `vaectrol play`
 * renders with that block, one block late, however the host cuts time. Nothing here allocates.
 */
#ifndef VAECTROL_PORTS_PLUGIN_PLAYER_H
#define VAECTROL_PORTS_PLUGIN_PLAYER_H

#include "tables.h"

#include "control/schmitt.h"
#include "instance.h"

#define PLAYER_VOLTS 10.0f /* in a CV or gate signal of the host at 1 */
#define PLAYER_QUEUE 256u  /* a power of two */
#define PLAYER_ANY (-1)    /* channel or key */

/* Signals of the host from its first sample on; NULL: nothing is plugged in. The lists are those of PluginTables. */
typedef struct PlayerSignals {
    const float *audio_in[PORT_MAX_AUDIO];
    const float *cv_in[PORT_MAX_INPUTS];
    const float *gate_in[PORT_MAX_GATES];
    float *audio_out[PORT_MAX_AUDIO];
    float *cv_out[PORT_MAX_CV_OUTS];
    float *gate_out[PORT_MAX_GATES];
} PlayerSignals;

/* Told when a gate that is a note goes up, or down: the sample of the host's block, row of PluginTables.note, 0 … 1. */
typedef void PlayerHeard(void *context, size_t at, uint8_t note, bool is_on, double velocity);

typedef struct Player {
    Instance *instance;
    void *memory[INSTANCE_PIECES];
    float position[PORT_MAX_PARAMETERS + PORT_MAX_GATES]; /* what each control was last set to */
    bool moved[PORT_MAX_PARAMETERS + PORT_MAX_GATES];     /* whether it ever was */
    PlayerHeard *heard;
    void *context;

    PortCommand queue[PLAYER_QUEUE];
    uint32_t posted, taken;
    size_t filled; /* samples of this block that are in */
    float reading[PORT_MAX_INPUTS];
    Schmitt schmitt[PORT_MAX_GATES];
    float audio_in[PORT_MAX_AUDIO][PORT_MAX_BLOCK], audio_out[PORT_MAX_AUDIO][PORT_MAX_BLOCK];
    float cv_out[PORT_MAX_CV_OUTS][PORT_MAX_BLOCK];
    uint32_t gates_in[PORT_MAX_BLOCK], gates_out[PORT_MAX_BLOCK];
    uint32_t gates_before; /* gate outputs of the sample before */

    uint8_t pressed[16][128];      /* how often a key went down and has not come up */
    uint16_t held[PORT_MAX_GATES]; /* keys that hold a gate function */
    int16_t lane_key[PLUGIN_KEYS]; /* of entries side by side: 128 · channel + key that it plays, -1: none */
    uint32_t lane_since[PLUGIN_KEYS], moment;
    uint32_t pulses; /* of MIDI's clock */
    bool running;    /* MIDI's clock counts */
    bool rolling;    /* the host's song does */
    double beat, beats_per_tick, next_pulse;
} Player;

/* Memory for a player and its instrument, aligned to INSTANCE_ALIGNMENT. */
size_t player_bytes(void);
Player *player_make(void *memory);
/* Power on: silence, no key pressed; controls that were moved stay where they are. */
void player_start(Player *player);
/* By which sound comes late, the instrument's own latency included. */
uint32_t player_latency(void);

/* At the next sample: a control takes a position 0 … 1, and keeps it. */
void player_move(Player *player, size_t control, float position);
/* The same for once, as a modulation does. */
void player_bend(Player *player, size_t control, float position);
void player_press(Player *player, int channel, int key, double velocity);
void player_release(Player *player, int channel, int key);
/* A MIDI message of up to three bytes. */
void player_midi(Player *player, const uint8_t *bytes);
/* Where the host's song is at the next sample; `beats` counts only while it is playing. */
void player_song(Player *player, bool playing, double beats, double beats_per_tick);
void player_post(Player *player, PortCommand command);

/* Samples from … from + ticks of the host's block. */
void player_play(Player *player, const PlayerSignals *signals, size_t from, size_t ticks);

#endif
