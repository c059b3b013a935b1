/* MIDI by the [midi] table of the instrument's file, as firmware/midi/player.py has it; controllers move the
 * plug-in's own parameters, so that the display and a preset follow.
 *
 * Messages come between steps. What they ask for waits here until the next step tells the instrument, and nothing is
 * lost where its queue is full: a gate that is released stays to be released.
 */
#include "host.h"
#include "plugin.h"

enum { CLOCK = 0xF8, START = 0xFA, CONTINUE = 0xFB, STOP = 0xFC };
enum { NOTE_OFF = 0x80, NOTE_ON = 0x90, CONTROL = 0xB0, WHEEL = 0xE0 };
enum { ALL_SOUND_OFF = 120, ALL_NOTES_OFF = 123 };

static int clamped(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

static void set_position(PluginMidi *midi, uint8_t parameter, float position) {
    midi->sets[parameter / 32u] |= 1u << parameter % 32u;
    midi->set_to[parameter] = position;
}

static void set_all(PluginMidi *midi, PluginList list, float position) {
    for (uint16_t i = 0; i < list.count; ++i) {
        set_position(midi, plugin_spec.lists[list.first + i], position);
    }
}

static bool has(const PluginKey *key, int16_t note) { return note >= key->low && note <= key->high; }

/* By a key and the wheel. */
static float pitch_position(const PluginMidi *midi, const PluginKey *key, int16_t note) {
    const float keys = (float)(note - key->middle) + midi->bent;
    const float position = (keys / 12.0f - key->pitch_low) / key->pitch_span;
    return position < 0.0f ? 0.0f : position > 1.0f ? 1.0f : position;
}

/* Of entries side by side the one that was let go first, else pressed first. */
static uint8_t lane_for(const PluginMidi *midi, uint8_t first) {
    uint8_t found = first;
    for (uint8_t k = first; k < first + plugin_spec.key[first].lanes; ++k) {
        const bool held = midi->lane_key[k] != 0, other = midi->lane_key[found] != 0;
        if (held == other ? midi->lane_since[k] < midi->lane_since[found] : other) {
            found = k;
        }
    }
    return found;
}

/* A key is let go: the entry side by side with others that plays it is free. */
static void free_lanes(PluginMidi *midi, int16_t key) {
    ++midi->moment;
    for (uint8_t k = 0; k < plugin_spec.keys; ++k) {
        if (plugin_spec.key[k].lanes > 1 && midi->lane_key[k] == key) {
            midi->lane_key[k] = 0;
            midi->lane_since[k] = midi->moment;
            if (plugin_spec.key[k].gate >= 0) {
                midi->held[plugin_spec.key[k].gate] = 0;
            }
        }
    }
}

/* Holds or lets go the gates of a key; a key that is struck twice holds once. */
static void hold(PluginMidi *midi, uint8_t channel, uint8_t note, bool held) {
    uint8_t *byte = &midi->sounding[channel][note >> 3];
    const uint8_t bit = (uint8_t)(1u << (note & 7u));
    if (((*byte & bit) != 0) == held) {
        return;
    }
    *byte ^= bit;
    if (!held) {
        free_lanes(midi, (int16_t)(1 + 128 * channel + note));
    }
    for (uint8_t k = 0; k < plugin_spec.keys; ++k) {
        const PluginKey *key = &plugin_spec.key[k];
        if (key->gate >= 0 && key->lanes == 1 && has(key, note)) {
            midi->held[key->gate] = (uint8_t)(midi->held[key->gate] + (held ? 1 : -1));
        }
    }
}

static void press(PluginMidi *midi, uint8_t channel, uint8_t note, uint8_t velocity) {
    const float hard = (float)velocity / 127.0f;
    midi->last = note;
    ++midi->moment;
    for (uint8_t entry = 0; entry < plugin_spec.keys; ++entry) {
        const PluginKey *key = &plugin_spec.key[entry];
        if (key->lane > 0 || !has(key, note)) {
            continue;
        }
        if (key->lanes > 1) {
            const uint8_t k = lane_for(midi, entry);
            key = &plugin_spec.key[k];
            midi->lane_key[k] = (int16_t)(1 + 128 * channel + note);
            midi->lane_note[k] = (int16_t)(1 + note);
            midi->lane_since[k] = midi->moment;
            if (key->gate >= 0) {
                midi->held[key->gate] = 1;
            }
        }
        for (uint16_t i = 0; i < key->sets.count; ++i) {
            const uint16_t at = (uint16_t)(key->sets.first + i);
            set_position(midi, plugin_spec.lists[at], plugin_spec.set_to[at]);
        }
        set_all(midi, key->velocity, hard);
        set_all(midi, key->pitch, pitch_position(midi, key, note));
        if (key->trigger != 0) {
            midi->strikes |= 1u << (key->trigger - 1u);
            midi->accent[key->trigger - 1u] = hard;
        }
    }
    hold(midi, channel, note, true);
}

static void bend(PluginMidi *midi, int wheel) {
    midi->bent = plugin_spec.bend * (float)wheel / 8192.0f;
    for (uint8_t k = 0; k < plugin_spec.keys; ++k) {
        const PluginKey *key = &plugin_spec.key[k];
        const int16_t note = key->lanes > 1 ? (int16_t)(midi->lane_note[k] - 1) : midi->last;
        if (has(key, note)) {
            set_all(midi, key->pitch, pitch_position(midi, key, note));
        }
    }
}

static void release_all(PluginMidi *midi) {
    for (uint8_t channel = 0; channel < 16; ++channel) {
        for (uint8_t note = 0; note < 128; ++note) {
            hold(midi, channel, note, false);
        }
    }
}

static void turn(const Plugin *plugin, uint8_t number, uint8_t value) {
    const int32_t at = NT_algorithmIndex(&plugin->algorithm);
    for (uint8_t c = 0; c < plugin_spec.controllers && at >= 0; ++c) {
        const PluginController *controller = &plugin_spec.controller[c];
        if (controller->number != number) {
            continue;
        }
        const float position = controller->low + controller->span * (float)value / 127.0f;
        for (uint16_t i = 0; i < controller->rows.count; ++i) {
            const uint8_t row = plugin_spec.lists[controller->rows.first + i];
            const int16_t most = plugin_spec.parameter[row].max;
            const int to = clamped((int)(position * (float)most + 0.5f), 0, most);
            NT_setParameterFromAudio((uint32_t)at, NT_parameterOffset() + row, (int16_t)to);
        }
    }
}

void plugin_midi_realtime(NtAlgorithm *self, uint8_t byte) {
    PluginMidi *midi = &((Plugin *)self)->midi;
    midi->waits = true;
    switch (byte) {
    case CLOCK:
        if (midi->running && plugin_spec.clock != 0) {
            midi->clocks = (uint8_t)(midi->clocks + (midi->pulses == 0 && midi->clocks < 255 ? 1 : 0));
            midi->pulses = (uint8_t)((midi->pulses + 1u) % plugin_spec.clock);
        }
        break;
    case START:
        midi->pulses = 0;
        midi->reset = midi->reset || plugin_spec.start_resets;
        midi->running = true;
        break;
    case CONTINUE: midi->running = true; break;
    case STOP: midi->running = false; break;
    default: break;
    }
}

/* The channel that is listened to, 0: all. */
static int channel_of(const Plugin *plugin) {
    for (uint8_t r = 0; r < plugin_spec.rows; ++r) {
        if (plugin_spec.row[r].kind == ROW_CHANNEL) {
            return plugin->algorithm.value[r];
        }
    }
    return 0;
}

void plugin_midi_message(NtAlgorithm *self, uint8_t status, uint8_t first, uint8_t second) {
    Plugin *plugin = (Plugin *)self;
    PluginMidi *midi = &plugin->midi;
    const uint8_t channel = status & 0x0Fu, note = first & 0x7Fu;
    const int wanted = channel_of(plugin);
    if (wanted != 0 && wanted != channel + 1) {
        return;
    }
    midi->waits = true;
    switch (status & 0xF0u) {
    case NOTE_ON:
        if (second != 0) {
            press(midi, channel, note, second & 0x7Fu);
        } else {
            hold(midi, channel, note, false);
        }
        break;
    case NOTE_OFF: hold(midi, channel, note, false); break;
    case WHEEL: bend(midi, note + 128 * (second & 0x7F) - 8192); break;
    case CONTROL:
        turn(plugin, note, second & 0x7Fu);
        if (note == ALL_SOUND_OFF || note == ALL_NOTES_OFF) {
            release_all(midi);
        }
        break;
    default: break;
    }
}

static bool post(Plugin *plugin, uint8_t kind, uint8_t index, float value) {
    return instance_post(plugin->instance, (PortCommand){.kind = kind, .index = index, .value = value});
}

bool plugin_tell_parameters(Plugin *plugin) {
    bool all = true;
    for (uint8_t r = 0; r < plugin_spec.rows; ++r) {
        const PluginRow *row = &plugin_spec.row[r];
        const int16_t value = row->kind == ROW_SET ? plugin->algorithm.value[r] : plugin->told[r];
        if (value == plugin->told[r]) {
            continue;
        }
        const bool rests = value == plugin_spec.parameter[r].def;
        if (post(plugin, PORT_SET, row->index, rests ? row->rest : plugin_travel(row, value))) {
            plugin->told[r] = value;
        } else {
            all = false;
        }
    }
    return all;
}

static void tell_gates(Plugin *plugin) {
    PluginMidi *midi = &plugin->midi;
    for (uint8_t g = 0; g < plugin_spec.gates; ++g) {
        const uint32_t bit = 1u << g;
        const bool held = midi->held[g] != 0;
        if (held != ((midi->gates_told & bit) != 0) && post(plugin, PORT_GATE, g, held ? 1.0f : 0.0f)) {
            midi->gates_told ^= bit;
        }
    }
}

static bool gates_are_told(const PluginMidi *midi) {
    for (uint8_t g = 0; g < plugin_spec.gates; ++g) {
        if ((midi->held[g] != 0) != ((midi->gates_told >> g & 1u) != 0)) {
            return false;
        }
    }
    return true;
}

/* Whether no parameter is left to be set. */
static bool tell_sets(Plugin *plugin) {
    PluginMidi *midi = &plugin->midi;
    bool all = true;
    for (uint8_t w = 0; w < PLUGIN_SET_WORDS; ++w) {
        for (uint8_t b = 0; midi->sets[w] != 0 && b < 32u; ++b) {
            const uint8_t p = (uint8_t)(32u * w + b);
            if ((midi->sets[w] >> b & 1u) && post(plugin, PORT_SET, p, midi->set_to[p])) {
                midi->sets[w] &= ~(1u << b);
            }
        }
        all = all && midi->sets[w] == 0;
    }
    return all;
}

void plugin_tell_midi(Plugin *plugin) {
    PluginMidi *midi = &plugin->midi;
    if (!midi->waits) {
        return;
    }
    const bool all_set = tell_sets(plugin);
    tell_gates(plugin);
    if (midi->reset && post(plugin, PORT_RESET_STEP, 0, 0.0f)) {
        midi->reset = false;
    }
    if (midi->clocks != 0 && post(plugin, PORT_CLOCK, 0, 0.0f)) {
        --midi->clocks;
    }
    for (uint8_t v = 0; midi->strikes != 0 && v < PORT_MAX_GATES; ++v) {
        const uint32_t bit = 1u << v;
        if ((midi->strikes & bit) && post(plugin, PORT_TRIGGER, v, midi->accent[v])) {
            midi->strikes &= ~bit;
        }
    }
    midi->waits = !all_set || midi->reset || midi->clocks != 0 || midi->strikes != 0 || !gates_are_told(midi);
}
