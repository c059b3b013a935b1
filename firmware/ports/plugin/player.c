/* Samples gather until a block is full: see player.h. */
#include "player.h"

#include "../denormals.h"

#include <string.h>

enum { NOTE_OFF = 0x80, NOTE_ON = 0x90, CONTROLLER = 0xb0, CLOCK = 0xf8, START = 0xfa, CONTINUE = 0xfb, STOP = 0xfc };
enum { ALL_SOUND_OFF = 120, ALL_NOTES_OFF = 123 };

#define UNKNOWN_VELOCITY 0.7 /* as in firmware/play/hits.py */
#define VELOCITY_VOLTS 5.0
#define CLOCKS_A_BEAT 24.0
#define MOST_BEATS_PER_TICK 0.01 /* 600 a second: no tempo is faster */
#define ROUNDING_PULSES 1e-6     /* a pulse on the border of two blocks is the second's */
#define JUMP_BEATS 0.001         /* what is more is no rounding: the song went elsewhere */

static size_t rounded(size_t bytes) {
    return (bytes + INSTANCE_ALIGNMENT - 1u) / INSTANCE_ALIGNMENT * INSTANCE_ALIGNMENT;
}

size_t player_bytes(void) {
    const InstanceNeeds *needs = instance_needs();
    size_t bytes = rounded(sizeof(Player));
    for (size_t i = 0; i < needs->pieces; ++i) {
        bytes += rounded(needs->piece[i].bytes);
    }
    return bytes;
}

Player *player_make(void *memory) {
    const InstanceNeeds *needs = instance_needs();
    Player *player = memory;
    memset(player, 0, sizeof *player);
    uint8_t *at = (uint8_t *)memory + rounded(sizeof *player);
    for (size_t i = 0; i < needs->pieces; ++i) {
        player->memory[i] = at;
        at += rounded(needs->piece[i].bytes);
    }
    for (size_t i = 0; i < plugin_tables.parameters; ++i) {
        player->position[i] = plugin_tables.control[i].rest;
    }
    player_start(player);
    return player;
}

uint32_t player_latency(void) {
    const PortInfo *info = instrument_info();
    return (uint32_t)info->block + info->latency_ticks;
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

/* A flood keeps the newest position of every parameter, and loses strokes. */
void player_post(Player *player, PortCommand command) {
    if (player->posted - player->taken == PLAYER_QUEUE) {
        for (uint32_t i = player->posted; i != player->taken; --i) {
            PortCommand *waiting = &player->queue[(i - 1u) % PLAYER_QUEUE];
            if (waiting->kind == command.kind && waiting->index == command.index) {
                waiting->value = command.value;
                return;
            }
        }
        return;
    }
    player->queue[player->posted++ % PLAYER_QUEUE] = command;
}

static void set(Player *player, uint8_t parameter, double position) { player_move(player, parameter, (float)position); }

static void hold(Player *player, uint8_t gate, bool high) {
    player_post(player, (PortCommand){PORT_GATE, gate, high ? 1.0f : 0.0f});
}

void player_bend(Player *player, size_t control, float position) {
    if (control < plugin_tables.parameters) {
        player_post(player, (PortCommand){PORT_SET, (uint8_t)control, position});
    } else {
        hold(player, (uint8_t)(control - plugin_tables.parameters), position > 0.5f);
    }
}

void player_move(Player *player, size_t control, float position) {
    player->position[control] = position;
    player->moved[control] = true;
    player_bend(player, control, position);
}

void player_start(Player *player) {
    player->instance = instance_init(player->memory, instrument_info()->sample_rate_hz);
    player->posted = player->taken = 0;
    player->filled = 0;
    player->gates_before = 0;
    memset(player->schmitt, 0, sizeof player->schmitt);
    memset(player->audio_out, 0, sizeof player->audio_out);
    memset(player->cv_out, 0, sizeof player->cv_out);
    memset(player->gates_out, 0, sizeof player->gates_out);
    memset(player->pressed, 0, sizeof player->pressed);
    memset(player->held, 0, sizeof player->held);
    memset(player->lane_since, 0, sizeof player->lane_since);
    for (size_t k = 0; k < PLUGIN_KEYS; ++k) {
        player->lane_key[k] = -1;
    }
    player->pulses = 0;
    player->running = true;
    player->rolling = false;
    for (size_t i = 0; i < (size_t)plugin_tables.parameters + plugin_tables.gates; ++i) {
        if (player->moved[i]) {
            player_bend(player, i, player->position[i]);
        }
    }
}

/* ---- keys, as firmware/midi/player.py --------------------------------------------------------------------------- */

static bool listens(int channel) { return plugin_tables.channel < 0 || channel == plugin_tables.channel; }

/* Of entries side by side the one that was let go first, else pressed first. */
static size_t lane_for(const Player *player, size_t first) {
    size_t found = first;
    for (size_t k = first; k < first + plugin_tables.key[first].lanes; ++k) {
        const bool held = player->lane_key[k] >= 0, other = player->lane_key[found] >= 0;
        if (held == other ? player->lane_since[k] < player->lane_since[found] : other) {
            found = k;
        }
    }
    return found;
}

void player_press(Player *player, int channel, int number, double velocity) {
    if (channel < 0 || channel > 15 || number < 0 || number > 127 || !listens(channel)) {
        return;
    }
    uint8_t *pressed = &player->pressed[channel][number];
    const bool counts = *pressed < UINT8_MAX;
    *pressed = (uint8_t)(*pressed + counts);
    ++player->moment;
    for (size_t entry = 0; entry < plugin_tables.keys; ++entry) {
        const PluginKey *key = &plugin_tables.key[entry];
        if (key->lane > 0 || number < key->low || number > key->high) {
            continue;
        }
        const size_t k = lane_for(player, entry);
        const bool shared = key->lanes > 1u, held = player->lane_key[k] >= 0;
        key = &plugin_tables.key[k];
        player->lane_key[k] = (int16_t)(128 * channel + number);
        player->lane_since[k] = player->moment;
        for (size_t i = 0; i < key->sets; ++i) {
            set(player, key->set[i].parameter, (double)key->set[i].position);
        }
        for (size_t i = 0; i < key->velocities; ++i) {
            set(player, key->velocity[i], velocity);
        }
        const double volts = (number - key->middle) / 12.0;
        const double part = (volts - key->low_volts) / (key->high_volts - key->low_volts);
        for (size_t i = 0; i < key->pitches; ++i) {
            set(player, key->pitch[i], part < 0.0 ? 0.0 : part > 1.0 ? 1.0 : part);
        }
        if (key->gate >= 0 && (shared ? !held : counts && player->held[key->gate]++ == 0)) {
            hold(player, (uint8_t)key->gate, true);
        }
        if (key->strikes >= 0) {
            player_post(player, (PortCommand){PORT_TRIGGER, (uint8_t)key->strikes, (float)velocity});
        }
    }
}

static void release_key(Player *player, int channel, int number) {
    const uint8_t times = player->pressed[channel][number];
    player->pressed[channel][number] = 0;
    player->moment += times > 0 ? 1u : 0u;
    for (size_t k = 0; k < plugin_tables.keys && times > 0; ++k) {
        const PluginKey *key = &plugin_tables.key[k];
        const bool plays = player->lane_key[k] == 128 * channel + number;
        if (plays) {
            player->lane_key[k] = -1;
            player->lane_since[k] = player->moment;
        }
        if (key->gate < 0 || number < key->low || number > key->high) {
            continue;
        }
        if (key->lanes > 1u) {
            if (plays) {
                hold(player, (uint8_t)key->gate, false);
            }
            continue;
        }
        player->held[key->gate] = (uint16_t)(player->held[key->gate] - times);
        if (player->held[key->gate] == 0) {
            hold(player, (uint8_t)key->gate, false);
        }
    }
}

void player_release(Player *player, int channel, int number) {
    if (channel > 15 || number > 127 || (channel >= 0 && !listens(channel))) {
        return;
    }
    for (int c = channel < 0 ? 0 : channel; c <= (channel < 0 ? 15 : channel); ++c) {
        for (int n = number < 0 ? 0 : number; n <= (number < 0 ? 127 : number); ++n) {
            release_key(player, c, n);
        }
    }
}

static void turn(Player *player, uint8_t number, uint8_t value) {
    for (size_t i = 0; i < plugin_tables.controllers; ++i) {
        const PluginController *controller = &plugin_tables.controller[i];
        if (controller->cc != number) {
            continue;
        }
        const double position = controller->low + (controller->high - controller->low) * value / 127.0;
        for (size_t p = 0; p < controller->parameters; ++p) {
            set(player, controller->parameter[p], position);
        }
    }
    if (number == ALL_SOUND_OFF || number == ALL_NOTES_OFF) {
        player_release(player, PLAYER_ANY, PLAYER_ANY);
    }
}

void player_midi(Player *player, const uint8_t *bytes) {
    const uint8_t kind = bytes[0] >= 0xf0 ? bytes[0] : bytes[0] & 0xf0;
    const int channel = bytes[0] & 0x0f;
    const uint8_t first = bytes[1] & 0x7f, second = bytes[2] & 0x7f;
    if (kind == NOTE_ON && second > 0) {
        player_press(player, channel, first, second / 127.0);
    } else if (kind == NOTE_ON || kind == NOTE_OFF) {
        player_release(player, channel, first);
    } else if (kind == CONTROLLER && listens(channel)) {
        turn(player, first, second);
    } else if (player->rolling) {
        return; /* the song is the clock */
    } else if (kind == START) {
        player->pulses = 0;
        player->running = true;
        if (plugin_tables.start) {
            player_post(player, (PortCommand){PORT_RESET_STEP, 0, 0.0f});
        }
    } else if (kind == CONTINUE || kind == STOP) {
        player->running = kind == CONTINUE;
    } else if (kind == CLOCK && player->running && plugin_tables.clock > 0) {
        if (player->pulses++ % plugin_tables.clock == 0) {
            player_post(player, (PortCommand){PORT_CLOCK, 0, 0.0f});
        }
    }
}

/* ---- the host's song -------------------------------------------------------------------------------------------- */

static double ceiling(double x) {
    const double below = (double)(int64_t)x;
    return below < x ? below + 1.0 : below;
}

void player_song(Player *player, bool playing, double beats, double beats_per_tick) {
    const double pulses_a_beat = plugin_tables.clock > 0 ? CLOCKS_A_BEAT / plugin_tables.clock : 0.0;
    /* a song of ten million beats is nonsense, as is NaN */
    if (!playing || !(beats > -1e7 && beats < 1e7) ||
        !(beats_per_tick >= 0.0 && beats_per_tick <= MOST_BEATS_PER_TICK)) {
        player->rolling = false;
        return;
    }
    const double off = beats - player->beat;
    if (!player->rolling || off > JUMP_BEATS || off < -JUMP_BEATS) {
        player->next_pulse = ceiling(beats * pulses_a_beat - JUMP_BEATS);
        if (plugin_tables.start) {
            player_post(player, (PortCommand){PORT_RESET_STEP, 0, 0.0f});
        }
    }
    player->rolling = true;
    player->beat = beats;
    player->beats_per_tick = beats_per_tick;
}

/* The pulses of the next samples; a command goes with its block. */
static void roll(Player *player, size_t ticks) {
    if (!player->rolling) {
        return;
    }
    player->beat += player->beats_per_tick * (double)ticks;
    if (plugin_tables.clock > 0) {
        const double until = player->beat * CLOCKS_A_BEAT / plugin_tables.clock - ROUNDING_PULSES;
        for (; player->next_pulse < until; player->next_pulse += 1.0) {
            player_post(player, (PortCommand){PORT_CLOCK, 0, 0.0f});
        }
    }
}

/* ---- blocks ----------------------------------------------------------------------------------------------------- */

static float reading_of(const PluginCv *cv, float sample) {
    const float part = (sample * PLAYER_VOLTS - cv->low_volts) / cv->span_volts;
    const float reading = cv->inverted ? 1.0f - part : part;
    return reading < 0.0f ? 0.0f : reading > 1.0f ? 1.0f : reading;
}

static void render(Player *player) {
    const PortInfo *info = instrument_info();
    while (player->taken != player->posted &&
           instance_post(player->instance, player->queue[player->taken % PLAYER_QUEUE])) {
        ++player->taken;
    }
    const float *in[PORT_MAX_AUDIO];
    float *out[PORT_MAX_AUDIO];
    float *cv[PORT_MAX_CV_OUTS];
    for (size_t c = 0; c < PORT_MAX_AUDIO; ++c) {
        in[c] = player->audio_in[c];
        out[c] = player->audio_out[c];
    }
    for (size_t c = 0; c < PORT_MAX_CV_OUTS; ++c) {
        cv[c] = player->cv_out[c];
    }
    const PortBlock block = {
        .ticks = info->block,
        .inputs = player->reading,
        .gates_in = player->gates_in,
        .audio_in = info->audio_in > 0 ? in : NULL,
        .audio_out = out,
        .cv_out = cv,
        .gates_out = player->gates_out,
    };
    const uint64_t before = flush_denormals();
    instance_render(player->instance, &block);
    restore_denormals(before);
}

static void take(Player *player, const PlayerSignals *signals, size_t from, size_t ticks) {
    const size_t at = player->filled;
    if (at == 0) { /* converters are read once a block */
        memcpy(player->reading, plugin_tables.reading, instrument_info()->inputs * sizeof(float));
        for (size_t i = 0; i < plugin_tables.cvs_in; ++i) {
            if (signals->cv_in[i] != NULL) {
                const PluginCv *cv = &plugin_tables.cv_in[i];
                player->reading[cv->number] = reading_of(cv, signals->cv_in[i][from]);
            }
        }
    }
    for (size_t c = 0; c < PORT_MAX_AUDIO; ++c) {
        if (signals->audio_in[c] != NULL) {
            memcpy(player->audio_in[c] + at, signals->audio_in[c] + from, ticks * sizeof(float));
        } else {
            memset(player->audio_in[c] + at, 0, ticks * sizeof(float));
        }
    }
    memset(player->gates_in + at, 0, ticks * sizeof(uint32_t));
    for (size_t g = 0; g < plugin_tables.gates_in; ++g) {
        for (size_t i = 0; i < ticks; ++i) {
            const float volts = signals->gate_in[g] != NULL ? signals->gate_in[g][from + i] * PLAYER_VOLTS : 0.0f;
            player->gates_in[at + i] |= (uint32_t)schmitt_process(&player->schmitt[g], volts)
                                        << plugin_tables.gate_in[g].number;
        }
    }
}

static void tell(Player *player, size_t at, size_t i) {
    const uint32_t high = player->gates_out[i], changed = high ^ player->gates_before;
    player->gates_before = high;
    for (uint8_t n = 0; n < plugin_tables.notes && changed != 0; ++n) {
        const PluginNote *note = &plugin_tables.note[n];
        if (changed >> note->gate & 1u) {
            const double loud = note->cv < 0 ? UNKNOWN_VELOCITY : (double)player->cv_out[note->cv][i] / VELOCITY_VOLTS;
            const bool is_on = high >> note->gate & 1u;
            player->heard(player->context, at, n, is_on, loud < 0.0 ? 0.0 : loud > 1.0 ? 1.0 : loud);
        }
    }
}

static void give(Player *player, const PlayerSignals *signals, size_t from, size_t ticks) {
    const size_t at = player->filled;
    for (size_t c = 0; c < PORT_MAX_AUDIO; ++c) {
        if (signals->audio_out[c] != NULL) {
            memcpy(signals->audio_out[c] + from, player->audio_out[c] + at, ticks * sizeof(float));
        }
    }
    for (size_t c = 0; c < plugin_tables.cvs_out; ++c) {
        const float *volts = player->cv_out[plugin_tables.cv_out[c].number];
        for (size_t i = 0; i < ticks && signals->cv_out[c] != NULL; ++i) {
            signals->cv_out[c][from + i] = volts[at + i] / PLAYER_VOLTS;
        }
    }
    for (size_t g = 0; g < plugin_tables.gates_out; ++g) {
        for (size_t i = 0; i < ticks && signals->gate_out[g] != NULL; ++i) {
            const uint32_t high = player->gates_out[at + i] >> plugin_tables.gate_out[g].number & 1u;
            signals->gate_out[g][from + i] = (float)high * 0.5f; /* 5 V */
        }
    }
    for (size_t i = 0; i < ticks && player->heard != NULL; ++i) {
        tell(player, from + i, at + i);
    }
}

void player_play(Player *player, const PlayerSignals *signals, size_t from, size_t ticks) {
    const size_t block = instrument_info()->block;
    while (ticks > 0) {
        const size_t left = block - player->filled;
        const size_t now = ticks < left ? ticks : left;
        roll(player, now);
        take(player, signals, from, now);
        give(player, signals, from, now);
        player->filled += now;
        from += now;
        ticks -= now;
        if (player->filled == block) {
            render(player);
            player->filled = 0;
        }
    }
}
