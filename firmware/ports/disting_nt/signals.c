/* Buses in, buses out: volts at audio rate become what a board's converters and gates would say.
 *
 * A step of the module is one callback of the instrument, whatever its length, so nothing waits in a buffer. CV is
 * read once a step; gates pass a Schmitt trigger in every sample.
 */
#include "host.h"
#include "kernels/memory.h"
#include "plugin.h"

#define KNOB_MARGIN 0.005f /* of travel, as control/panel.c loses it at each end */
#define GATE_VOLTS 5.0f
#define LEVEL_KEEP 0.98f /* of the shown level, per step */

/* Denormals are zero while the instrument renders, as on every board; the module gets its own setting back. */
static uint32_t flush_denormals(void) {
    uint32_t before = 0;
#if defined(__arm__)
    __asm volatile("vmrs %0, fpscr" : "=r"(before));
    __asm volatile("vmsr fpscr, %0" ::"r"(before | (1u << 24)));
#endif
    return before;
}

static void restore_denormals(uint32_t before) {
#if defined(__arm__)
    uint32_t now;
    __asm volatile("vmrs %0, fpscr" : "=r"(now));
    __asm volatile("vmsr fpscr, %0" ::"r"((now & ~(1u << 24)) | (before & (1u << 24))));
#else
    (void)before;
#endif
}

float plugin_travel(const PluginRow *row, int value) {
    return row->choices > 1 ? (float)value / (float)(row->choices - 1u) : (float)value * (1.0f / (float)ROW_TRAVEL);
}

/* What the instrument's converter would read; exactly what it rests at where nothing was changed. */
static float knob_reading(const PluginRow *row, const NtParameter *parameter, int value) {
    return value == parameter->def ? row->rest : KNOB_MARGIN + plugin_travel(row, value) * (1.0f - 2.0f * KNOB_MARGIN);
}

/* One piece of a step: where it lies among the module's buses. */
typedef struct Piece {
    float *buses;
    size_t frames; /* of the step: from bus to bus */
    size_t done, ticks;
} Piece;

static float *bus_at(const Piece *piece, const PluginLink *link) {
    return piece->buses + (size_t)link->bus * piece->frames + piece->done;
}

static void connect(Plugin *plugin, const PluginRow *row, int bus, bool replaces) {
    if (bus > 0 && bus <= NT_LAST_BUS && plugin->links < PLUGIN_LINKS) {
        plugin->link[plugin->links++] = (PluginLink){
            .kind = row->kind, .index = row->index, .replaces = replaces, .bus = (uint16_t)(bus - 1)};
    }
}

/* After a change of any parameter: where knobs stand, which buttons are held, what is patched. */
static void read_parameters(Plugin *plugin) {
    const PortInfo *info = instrument_info();
    for (size_t i = 0; i < info->inputs; ++i) {
        plugin->readings[i] = -plugin_spec.cv_low / plugin_spec.cv_span; /* 0 V, where nothing is patched */
    }
    plugin->buttons = 0;
    plugin->links = 0;
    for (uint8_t r = 0; r < plugin_spec.rows; ++r) {
        const PluginRow *row = &plugin_spec.row[r];
        const int value = plugin->algorithm.value[r];
        switch (row->kind) {
        case ROW_KNOB: plugin->readings[row->index] = knob_reading(row, &plugin_spec.parameter[r], value); break;
        case ROW_BUTTON: plugin->buttons |= value != 0 ? 1u << row->index : 0u; break;
        case ROW_CV_IN:
        case ROW_GATE_IN:
        case ROW_AUDIO_IN: connect(plugin, row, value, false); break;
        case ROW_AUDIO_OUT:
        case ROW_CV_OUT:
        case ROW_GATE_OUT: connect(plugin, row, value, plugin->algorithm.value[r + 1u] != 0); break;
        default: break;
        }
    }
}

static void read_gate(Plugin *plugin, uint8_t bit, const float *volts, size_t ticks) {
    Schmitt gate = plugin->gate[bit];
    for (size_t i = 0; i < ticks; ++i) {
        plugin->gates_in[i] |= (uint32_t)schmitt_process(&gate, volts[i]) << bit;
    }
    plugin->gate[bit] = gate;
}

static void read_audio(float *to, const float *volts, size_t ticks) {
    const float share = 1.0f / plugin_spec.volts_in;
    for (size_t i = 0; i < ticks; ++i) {
        to[i] = volts[i] * share;
    }
}

static void read_inputs(Plugin *plugin, const Piece *piece) {
    for (size_t i = 0; i < piece->ticks; ++i) {
        plugin->gates_in[i] = plugin->buttons;
    }
    for (size_t c = 0; c < instrument_info()->audio_in && plugin_spec.hears; ++c) {
        memset(plugin->audio_in[c], 0, piece->ticks * sizeof(float));
    }
    for (uint8_t n = 0; n < plugin->links; ++n) {
        const PluginLink *link = &plugin->link[n];
        const float *volts = bus_at(piece, link);
        if (link->kind == ROW_CV_IN) {
            plugin->readings[link->index] = (volts[0] - plugin_spec.cv_low) / plugin_spec.cv_span;
        } else if (link->kind == ROW_GATE_IN) {
            read_gate(plugin, link->index, volts, piece->ticks);
        } else if (link->kind == ROW_AUDIO_IN) {
            read_audio(plugin->audio_in[link->index], volts, piece->ticks);
        }
    }
}

static void put(float *bus, const float *from, float gain, bool replaces, size_t ticks) {
    if (replaces) {
        for (size_t i = 0; i < ticks; ++i) {
            bus[i] = from[i] * gain;
        }
        return;
    }
    for (size_t i = 0; i < ticks; ++i) {
        bus[i] += from[i] * gain;
    }
}

/* Gates seldom move, so what is added is found anew only where one does. */
static void put_gate(float *bus, const uint32_t *gates, uint8_t bit, bool replaces, size_t ticks) {
    for (size_t i = 0; i < ticks; ++i) {
        const float volts = gates[i] >> bit & 1u ? GATE_VOLTS : 0.0f;
        bus[i] = replaces ? volts : bus[i] + volts;
    }
}

static void write_outputs(Plugin *plugin, const Piece *piece) {
    for (uint8_t n = 0; n < plugin->links; ++n) {
        const PluginLink *link = &plugin->link[n];
        float *bus = bus_at(piece, link);
        if (link->kind == ROW_AUDIO_OUT) {
            put(bus, plugin->audio_out[link->index], plugin_spec.volts_out, link->replaces, piece->ticks);
        } else if (link->kind == ROW_CV_OUT) {
            put(bus, plugin->cv_out[link->index], 1.0f, link->replaces, piece->ticks);
        } else if (link->kind == ROW_GATE_OUT) {
            put_gate(bus, plugin->gates_out, link->index, link->replaces, piece->ticks);
        }
    }
}

/* Floats of one sign compare as integers do; what an instrument plays is never NaN. */
static void follow_level(Plugin *plugin, size_t ticks) {
    uint32_t loudest = 0;
    for (size_t c = 0; c < instrument_info()->audio_out; ++c) {
        for (size_t i = 0; i < ticks; ++i) {
            uint32_t size;
            __builtin_memcpy(&size, &plugin->audio_out[c][i], sizeof size);
            size &= 0x7FFFFFFFu;
            loudest = size > loudest ? size : loudest;
        }
    }
    float level;
    __builtin_memcpy(&level, &loudest, sizeof level);
    const float kept = plugin->display.level * LEVEL_KEEP;
    plugin->display.level = level > kept ? level : kept;
}

static void render(Plugin *plugin, const Piece *piece) {
    if (plugin->changed) {
        plugin->changed = false;
        read_parameters(plugin);
        plugin->changed = !plugin_tell_parameters(plugin);
    }
    read_inputs(plugin, piece);
    plugin_tell_midi(plugin);
    const PortBlock block = {
        .ticks = piece->ticks,
        .inputs = plugin->readings,
        .gates_in = plugin->gates_in,
        .audio_in = plugin_spec.hears ? (const float *const *)plugin->audio_in : NULL,
        .audio_out = plugin->audio_out,
        .cv_out = plugin->cv_out,
        .gates_out = plugin->gates_out,
    };
    const uint32_t began = PLUGIN_COUNTS ? NT_getCpuCycleCount() : 0;
    instance_render(plugin->instance, &block);
    if (PLUGIN_COUNTS) {
        plugin_count(&plugin->counters, began, NT_getCpuCycleCount() - began, (uint32_t)piece->ticks);
    }
    write_outputs(plugin, piece);
    follow_level(plugin, piece->ticks);
}

/* At another rate everything would be out of tune, so nothing sounds; the display says why. */
static void keep_silent(Plugin *plugin, const Piece *piece) {
    read_parameters(plugin);
    plugin->changed = true;
    for (uint8_t n = 0; n < plugin->links; ++n) {
        const PluginLink *link = &plugin->link[n];
        if (link->kind >= ROW_AUDIO_OUT && link->kind <= ROW_GATE_OUT && link->replaces) {
            memset(bus_at(piece, link), 0, piece->ticks * sizeof(float));
        }
    }
}

void plugin_step(NtAlgorithm *self, float *buses, int frames_by_4) {
    Plugin *plugin = (Plugin *)self;
    const size_t frames = (size_t)frames_by_4 * 4u;
    const bool silent = plugin_refuses_rate();
    const uint32_t before = flush_denormals();
    for (size_t done = 0; done < frames;) {
        const size_t left = frames - done;
        const Piece piece = {buses, frames, done, left < plugin->most_frames ? left : plugin->most_frames};
        if (silent) {
            keep_silent(plugin, &piece);
        } else {
            render(plugin, &piece);
        }
        done += piece.ticks;
    }
    restore_denormals(before);
}
