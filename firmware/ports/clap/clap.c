/* The CLAP port: an instrument as a plugin of a studio program. Parameters are its controls by name, keys do what its
 * file says of MIDI, jacks are ports. All memory is made in `create`; the audio thread takes none and waits for nobody.
 */
#include "clap_abi.h"

#include "../plugin/player.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

#define MOST_CONTROLS (PORT_MAX_PARAMETERS + PORT_MAX_GATES)

typedef struct Plugin {
    ClapPlugin clap;
    const ClapHost *host;
    Player *player; /* the audio thread's while it is active */
    bool is_active;
    float base[MOST_CONTROLS], bend[MOST_CONTROLS]; /* the audio thread's: value, and modulation on top of it */
    _Atomic float value[MOST_CONTROLS];             /* base, as everyone may read it */
    _Atomic bool is_set[MOST_CONTROLS];             /* whether it ever was moved */
    _Atomic bool is_loaded;                         /* a state has come: the audio thread takes it over */
    const ClapEventsOut *told;                      /* of the block under way */
    void *memory;
} Plugin;

static Plugin *own(const ClapPlugin *clap) { return clap->context; }

static size_t controls(void) { return (size_t)plugin_tables.parameters + plugin_tables.gates; }

static size_t control_of(uint32_t id) {
    size_t control = 0;
    while (control < controls() && plugin_tables.control[control].id != id) {
        ++control;
    }
    return control;
}

static bool is_gate(size_t control) { return plugin_tables.control[control].table == NULL; }

static float within(double x) { return x < 0.0 ? 0.0f : x > 1.0 ? 1.0f : (float)x; }

static void copy_text(char *to, size_t bytes, const char *text) { (void)snprintf(to, bytes, "%s", text); }

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void move(Plugin *plugin, size_t control) {
    const float sum = within((double)plugin->base[control] + (double)plugin->bend[control]);
    player_move(plugin->player, control, is_gate(control) ? (sum >= 0.5f ? 1.0f : 0.0f) : sum);
}

static void take_value(Plugin *plugin, const ClapValue *event, bool bends) {
    const size_t control = control_of(event->parameter);
    const bool for_all = event->note < 0 && event->channel < 0 && event->key < 0;
    if (control == controls() || isnan(event->value) || (bends && !for_all)) {
        return;
    }
    if (bends) {
        plugin->bend[control] = (float)(event->value < -1.0 ? -1.0 : event->value > 1.0 ? 1.0 : event->value);
    } else {
        plugin->base[control] = within(event->value);
        atomic_store(&plugin->value[control], plugin->base[control]);
        atomic_store(&plugin->is_set[control], true);
    }
    move(plugin, control);
}

static void take_transport(Plugin *plugin, const ClapTransport *song, double rate_hz) {
    const uint32_t needed = CLAP_HAS_TEMPO | CLAP_HAS_BEATS | CLAP_IS_PLAYING;
    const bool playing = (song->flags & needed) == needed;
    player_song(plugin->player, playing, (double)song->beats / CLAP_BEAT, song->tempo / (60.0 * rate_hz));
}

static bool is(const ClapEvent *event, uint16_t type, size_t bytes) {
    return event->type == type && event->bytes >= bytes;
}

static void take_event(Plugin *plugin, const ClapEvent *event) {
    Player *player = plugin->player;
    if (event->space != 0) {
        return;
    }
    if (is(event, CLAP_VALUE, sizeof(ClapValue)) || is(event, CLAP_MODULATION, sizeof(ClapValue))) {
        take_value(plugin, (const ClapValue *)event, event->type == CLAP_MODULATION);
    } else if (is(event, CLAP_NOTE_ON, sizeof(ClapNote))) {
        const ClapNote *note = (const ClapNote *)event;
        player_press(player, note->channel, note->key, isnan(note->velocity) ? 0.0 : (double)within(note->velocity));
    } else if (is(event, CLAP_NOTE_OFF, sizeof(ClapNote)) || is(event, CLAP_NOTE_CHOKE, sizeof(ClapNote))) {
        const ClapNote *note = (const ClapNote *)event;
        player_release(player, note->channel, note->key);
    } else if (is(event, CLAP_MIDI, sizeof(ClapMidi))) {
        player_midi(player, ((const ClapMidi *)event)->data);
    } else if (is(event, CLAP_TRANSPORT, sizeof(ClapTransport))) {
        take_transport(plugin, (const ClapTransport *)event, (double)instrument_info()->sample_rate_hz);
    }
}

/* A state that was loaded, taken over by the thread that plays. */
static void take_state(Plugin *plugin) {
    if (!atomic_exchange(&plugin->is_loaded, false)) {
        return;
    }
    for (size_t control = 0; control < controls(); ++control) {
        if (atomic_load(&plugin->is_set[control])) {
            plugin->base[control] = atomic_load(&plugin->value[control]);
            move(plugin, control);
        }
    }
}

/* ---- a block of sound -------------------------------------------------------------------------------------------- */

/* A channel of a port; NULL: the host has none, or not in floats. */
static float *channel(const ClapBuffer *ports, uint32_t count, uint32_t port, uint32_t number) {
    if (ports == NULL || port >= count || ports[port].floats == NULL || number >= ports[port].channels) {
        return NULL;
    }
    return ports[port].floats[number];
}

static PlayerSignals signals_of(const ClapProcess *process) {
    const PortInfo *info = instrument_info();
    PlayerSignals signals = {{NULL}, {NULL}, {NULL}, {NULL}, {NULL}, {NULL}};
    uint32_t port = 0;
    for (uint32_t c = 0; plugin_tables.hears && c < info->audio_in && c < PORT_MAX_AUDIO; ++c) {
        signals.audio_in[c] = channel(process->in, process->ins, 0, c);
    }
    port += plugin_tables.hears;
    for (size_t i = 0; i < plugin_tables.cvs_in; ++i) {
        signals.cv_in[i] = channel(process->in, process->ins, port++, 0);
    }
    for (size_t i = 0; i < plugin_tables.gates_in; ++i) {
        signals.gate_in[i] = channel(process->in, process->ins, port++, 0);
    }
    port = 0;
    for (uint32_t c = 0; plugin_tables.sounds && c < info->audio_out && c < PORT_MAX_AUDIO; ++c) {
        signals.audio_out[c] = channel(process->out, process->outs, 0, c);
    }
    port += plugin_tables.sounds;
    for (size_t i = 0; i < plugin_tables.cvs_out; ++i) {
        signals.cv_out[i] = channel(process->out, process->outs, port++, 0);
    }
    for (size_t i = 0; i < plugin_tables.gates_out; ++i) {
        signals.gate_out[i] = channel(process->out, process->outs, port++, 0);
    }
    return signals;
}

/* A gate that is a note. */
static void tell_note(void *context, size_t at, uint8_t row, bool is_on, double velocity) {
    const Plugin *plugin = context;
    if (plugin->told == NULL || plugin->told->push == NULL) {
        return;
    }
    const ClapNote note = {
        .head = {.bytes = sizeof note, .time = (uint32_t)at, .type = is_on ? CLAP_NOTE_ON : CLAP_NOTE_OFF},
        .note = -1,
        .key = plugin_tables.note[row].key,
        .velocity = velocity,
    };
    (void)plugin->told->push(plugin->told, &note.head);
}

static int32_t clap_process(const ClapPlugin *clap, const ClapProcess *process) {
    Plugin *plugin = own(clap);
    if (!plugin->is_active) {
        return CLAP_PROCESS_FAILED;
    }
    const PlayerSignals signals = signals_of(process);
    const ClapEventsIn *events = process->events_in;
    const uint32_t count = events != NULL ? events->count(events) : 0;
    plugin->told = process->events_out;
    take_state(plugin);
    if (process->transport != NULL) {
        take_transport(plugin, process->transport, (double)instrument_info()->sample_rate_hz);
    }
    uint32_t done = 0;
    for (uint32_t e = 0; e < count; ++e) {
        const ClapEvent *event = events->get(events, e);
        if (event == NULL) {
            continue;
        }
        const uint32_t until = event->time < process->frames ? event->time : process->frames;
        if (until > done) {
            player_play(plugin->player, &signals, done, until - done);
            done = until;
        }
        take_event(plugin, event);
    }
    player_play(plugin->player, &signals, done, process->frames - done);
    plugin->told = NULL;
    for (uint32_t port = 0; port < process->outs && process->out != NULL; ++port) {
        process->out[port].constant = 0;
    }
    return CLAP_PROCESS_GOES_ON;
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

static bool clap_init(const ClapPlugin *clap) {
    (void)clap;
    return true;
}

static void clap_destroy(const ClapPlugin *clap) { free(own(clap)->memory); }

static void complain(const Plugin *plugin, const char *words) {
    const ClapHostLog *log = plugin->host->extension != NULL ? plugin->host->extension(plugin->host, CLAP_LOG) : NULL;
    if (log != NULL && log->log != NULL) {
        log->log(plugin->host, CLAP_SEVERE, words);
    }
}

static void restart(Plugin *plugin) {
    memset(plugin->bend, 0, sizeof plugin->bend);
    atomic_store(&plugin->is_loaded, false);
    for (size_t control = 0; control < controls(); ++control) {
        plugin->base[control] = atomic_load(&plugin->value[control]);
        plugin->player->position[control] = plugin->base[control];
        plugin->player->moved[control] = atomic_load(&plugin->is_set[control]);
    }
    player_start(plugin->player);
}

static bool clap_activate(const ClapPlugin *clap, double rate_hz, uint32_t least_frames, uint32_t most_frames) {
    (void)least_frames;
    (void)most_frames;
    Plugin *plugin = own(clap);
    if (rate_hz != (double)instrument_info()->sample_rate_hz) {
        char words[160];
        (void)snprintf(words, sizeof words,
                       "%s plays at %.0f Hz, and the project runs at %.0f Hz; change its sample rate.",
                       plugin_tables.name, (double)instrument_info()->sample_rate_hz, rate_hz);
        complain(plugin, words);
        return false;
    }
    restart(plugin);
    plugin->is_active = true;
    return true;
}

static void clap_deactivate(const ClapPlugin *clap) { own(clap)->is_active = false; }

static bool clap_start(const ClapPlugin *clap) { return own(clap)->is_active; }

static void clap_stop(const ClapPlugin *clap) { (void)clap; }

static void clap_reset(const ClapPlugin *clap) { restart(own(clap)); }

static void clap_on_main_thread(const ClapPlugin *clap) { (void)clap; }

/* ---- parameters --------------------------------------------------------------------------------------------------- */

static uint32_t parameters_count(const ClapPlugin *clap) {
    (void)clap;
    return (uint32_t)controls();
}

static bool parameters_get(const ClapPlugin *clap, uint32_t index, ClapParameter *parameter) {
    (void)clap;
    if (index >= controls()) {
        return false;
    }
    const PluginControl *control = &plugin_tables.control[index];
    *parameter = (ClapParameter){
        .id = control->id,
        .flags = is_gate(index) ? CLAP_IS_AUTOMATABLE | CLAP_IS_STEPPED : CLAP_IS_AUTOMATABLE | CLAP_IS_MODULATABLE,
        .least = 0.0,
        .most = 1.0,
        .rest = (double)control->rest,
    };
    copy_text(parameter->name, sizeof parameter->name, control->name);
    copy_text(parameter->module, sizeof parameter->module, control->group);
    return true;
}

static bool parameters_value(const ClapPlugin *clap, uint32_t id, double *value) {
    const size_t control = control_of(id);
    if (control == controls()) {
        return false;
    }
    *value = (double)atomic_load(&own(clap)->value[control]);
    return true;
}

/* What the instrument makes of a position: straight lines between the points of its table. */
static double table_at(const PluginControl *control, double position) {
    const double place = position * (control->points - 1);
    const size_t at = place < control->points - 1 ? (size_t)place : (size_t)control->points - 2u;
    const double low = (double)control->table[at], high = (double)control->table[at + 1u];
    return low + (high - low) * (place - (double)at);
}

static bool parameters_write(const ClapPlugin *clap, uint32_t id, double value, char *text, uint32_t bytes) {
    (void)clap;
    const size_t number = control_of(id);
    if (number == controls() || isnan(value) || bytes == 0) {
        return false;
    }
    const PluginControl *control = &plugin_tables.control[number];
    const double position = (double)within(value);
    if (is_gate(number)) {
        copy_text(text, bytes, position >= 0.5 ? "on" : "off");
    } else if (control->labels > 0) {
        copy_text(text, bytes, control->label[(size_t)(position * (control->labels - 1) + 0.5)]);
    } else {
        (void)snprintf(text, bytes, "%.1f %% = %.3g", position * 100.0, table_at(control, position));
    }
    return true;
}

static bool parameters_read(const ClapPlugin *clap, uint32_t id, const char *text, double *value) {
    (void)clap;
    const size_t number = control_of(id);
    if (number == controls()) {
        return false;
    }
    const PluginControl *control = &plugin_tables.control[number];
    for (size_t i = 0; i < control->labels; ++i) {
        if (strcmp(text, control->label[i]) == 0) {
            *value = (double)i / (control->labels > 1 ? control->labels - 1 : 1);
            return true;
        }
    }
    if (is_gate(number) && (strcmp(text, "on") == 0 || strcmp(text, "off") == 0)) {
        *value = strcmp(text, "on") == 0 ? 1.0 : 0.0;
        return true;
    }
    char *end = NULL;
    const double percent = strtod(text, &end);
    if (end == text || isnan(percent)) {
        return false;
    }
    *value = (double)within(percent / 100.0);
    return true;
}

static void parameters_flush(const ClapPlugin *clap, const ClapEventsIn *in, const ClapEventsOut *out) {
    (void)out;
    Plugin *plugin = own(clap);
    const uint32_t count = in != NULL ? in->count(in) : 0;
    for (uint32_t e = 0; e < count; ++e) {
        const ClapEvent *event = in->get(in, e);
        if (event != NULL && event->space == 0 &&
            (is(event, CLAP_VALUE, sizeof(ClapValue)) || is(event, CLAP_MODULATION, sizeof(ClapValue)))) {
            take_value(plugin, (const ClapValue *)event, event->type == CLAP_MODULATION);
        }
    }
}

static const ClapParameters parameters = {
    .count = parameters_count,
    .get = parameters_get,
    .value = parameters_value,
    .write = parameters_write,
    .read = parameters_read,
    .flush = parameters_flush,
};

/* ---- ports -------------------------------------------------------------------------------------------------------- */

static uint32_t ports_count(const ClapPlugin *clap, bool is_input) {
    (void)clap;
    const PluginTables *tables = &plugin_tables;
    return is_input ? (uint32_t)tables->hears + tables->cvs_in + tables->gates_in
                    : (uint32_t)tables->sounds + tables->cvs_out + tables->gates_out;
}

static bool ports_get(const ClapPlugin *clap, uint32_t index, bool is_input, ClapAudioPort *port) {
    if (index >= ports_count(clap, is_input)) {
        return false;
    }
    const PluginTables *tables = &plugin_tables;
    const uint32_t mains = is_input ? tables->hears : tables->sounds;
    const uint32_t cvs = is_input ? tables->cvs_in : tables->cvs_out;
    *port = (ClapAudioPort){.id = index, .channels = 1, .type = CLAP_MONO, .in_place_with = CLAP_NO_ID};
    if (index < mains) {
        const uint32_t channels = is_input ? instrument_info()->audio_in : instrument_info()->audio_out;
        port->channels = channels < PORT_MAX_AUDIO ? channels : PORT_MAX_AUDIO;
        port->type = port->channels == 2 ? CLAP_STEREO : CLAP_MONO;
        port->flags = CLAP_IS_MAIN;
        copy_text(port->name, sizeof port->name, is_input ? "Audio in" : "Audio out");
    } else if (index < mains + cvs) {
        const uint32_t cv = index - mains;
        copy_text(port->name, sizeof port->name, is_input ? tables->cv_in[cv].name : tables->cv_out[cv].name);
    } else {
        const PluginJack *gates = is_input ? tables->gate_in : tables->gate_out;
        copy_text(port->name, sizeof port->name, gates[index - mains - cvs].name);
    }
    return true;
}

static const ClapAudioPorts audio_ports = {.count = ports_count, .get = ports_get};

static uint32_t notes_count(const ClapPlugin *clap, bool is_input) {
    (void)clap;
    return is_input ? 1u : plugin_tables.notes > 0;
}

static bool notes_get(const ClapPlugin *clap, uint32_t index, bool is_input, ClapNotePort *port) {
    if (index >= notes_count(clap, is_input)) {
        return false;
    }
    *port = (ClapNotePort){
        .dialects = is_input ? CLAP_SPEAKS_NOTES | CLAP_SPEAKS_MIDI : CLAP_SPEAKS_NOTES,
        .best = CLAP_SPEAKS_NOTES,
    };
    copy_text(port->name, sizeof port->name, is_input ? "Keys" : "Hits");
    return true;
}

static const ClapNotePorts note_ports = {.count = notes_count, .get = notes_get};

static uint32_t latency_ticks(const ClapPlugin *clap) {
    (void)clap;
    return player_latency();
}

static const ClapLatency latency = {.ticks = latency_ticks};

/* ---- state: "VAEC", 1, rows, their sum; each row an identity, whether it was moved, a position -------------------- */

typedef struct Row {
    uint32_t id, is_set;
    float position;
    uint32_t zero;
} Row;
typedef struct State {
    uint8_t magic[4];
    uint32_t version, rows, sum;
    Row row[MOST_CONTROLS];
} State;
#define STATE_HEAD_BYTES offsetof(State, row)

static const uint8_t magic[4] = {'V', 'A', 'E', 'C'};

static uint32_t sum_of(const State *state) { /* FNV-1a */
    const uint8_t *bytes = (const uint8_t *)state->row;
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < state->rows * sizeof(Row); ++i) {
        sum = (sum ^ bytes[i]) * 16777619u;
    }
    return sum;
}

static bool state_save(const ClapPlugin *clap, const ClapWriter *to) {
    Plugin *plugin = own(clap);
    State state = {.version = 1, .rows = (uint32_t)controls()};
    memcpy(state.magic, magic, sizeof magic);
    for (size_t control = 0; control < controls(); ++control) {
        state.row[control] = (Row){
            .id = plugin_tables.control[control].id,
            .is_set = atomic_load(&plugin->is_set[control]),
            .position = atomic_load(&plugin->value[control]),
        };
    }
    state.sum = sum_of(&state);
    const uint64_t bytes = STATE_HEAD_BYTES + state.rows * sizeof(Row);
    for (uint64_t done = 0; done < bytes;) {
        const int64_t now = to->write(to, (const uint8_t *)&state + done, bytes - done);
        if (now <= 0) {
            return false;
        }
        done += (uint64_t)now;
    }
    return true;
}

static bool read_all(const ClapReader *from, void *data, uint64_t bytes) {
    for (uint64_t done = 0; done < bytes;) {
        const int64_t now = from->read(from, (uint8_t *)data + done, bytes - done);
        if (now <= 0 || (uint64_t)now > bytes - done) {
            return false;
        }
        done += (uint64_t)now;
    }
    return true;
}

/* Of another model or version, controls of the same name are taken, and the others rest. Nothing is taken of a state
 * that is damaged. */
static bool state_load(const ClapPlugin *clap, const ClapReader *from) {
    Plugin *plugin = own(clap);
    State state;
    memset(&state, 0, sizeof state);
    if (!read_all(from, &state, STATE_HEAD_BYTES) || memcmp(state.magic, magic, sizeof magic) != 0 ||
        state.version != 1 || state.rows > MOST_CONTROLS || !read_all(from, state.row, state.rows * sizeof(Row)) ||
        state.sum != sum_of(&state)) {
        complain(plugin, "This is no state of a Vaectrol plugin, or it is damaged; nothing was changed.");
        return false;
    }
    for (size_t control = 0; control < controls(); ++control) {
        float position = plugin_tables.control[control].rest;
        for (size_t row = 0; row < state.rows; ++row) {
            if (state.row[row].id == plugin_tables.control[control].id && !isnan(state.row[row].position) &&
                state.row[row].is_set != 0) {
                position = within((double)state.row[row].position);
                atomic_store(&plugin->is_set[control], true);
            }
        }
        atomic_store(&plugin->value[control], position);
    }
    atomic_store(&plugin->is_loaded, true);
    const ClapHostParameters *told = plugin->host->extension != NULL
                                         ? plugin->host->extension(plugin->host, CLAP_PARAMETERS)
                                         : NULL;
    if (told != NULL && told->rescan != NULL) {
        told->rescan(plugin->host, CLAP_RESCAN_VALUES);
    }
    return true;
}

static const ClapState clap_state = {.save = state_save, .load = state_load};

/* ---- entry -------------------------------------------------------------------------------------------------------- */

static const void *clap_extension(const ClapPlugin *clap, const char *name) {
    (void)clap;
    static const struct {
        const char *name;
        const void *extension;
    } known[] = {
        {CLAP_PARAMETERS, &parameters}, {CLAP_AUDIO_PORTS, &audio_ports}, {CLAP_NOTE_PORTS, &note_ports},
        {CLAP_LATENCY, &latency},       {CLAP_STATE, &clap_state},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        if (strcmp(name, known[i].name) == 0) {
            return known[i].extension;
        }
    }
    return NULL;
}

/* Filled in by clap_entry.init: what it points to is no constant to a compiler. */
static ClapAbout about = {.version = CLAP_SPOKEN};

static uint32_t factory_count(const ClapFactory *factory) {
    (void)factory;
    return 1;
}

static const ClapAbout *factory_about(const ClapFactory *factory, uint32_t index) {
    (void)factory;
    return index == 0 ? &about : NULL;
}

static const ClapPlugin *factory_create(const ClapFactory *factory, const ClapHost *host, const char *id) {
    (void)factory;
    if (host == NULL || id == NULL || strcmp(id, plugin_tables.id) != 0) {
        return NULL;
    }
    const size_t plugin_bytes = (sizeof(Plugin) + INSTANCE_ALIGNMENT - 1u) / INSTANCE_ALIGNMENT * INSTANCE_ALIGNMENT;
    void *memory = calloc(1, plugin_bytes + player_bytes() + INSTANCE_ALIGNMENT);
    if (memory == NULL) {
        return NULL;
    }
    const size_t off = INSTANCE_ALIGNMENT - (size_t)((uintptr_t)memory % INSTANCE_ALIGNMENT);
    Plugin *plugin = (Plugin *)(void *)((uint8_t *)memory + off);
    plugin->memory = memory;
    plugin->host = host;
    plugin->player = player_make((uint8_t *)plugin + plugin_bytes);
    if (plugin_tables.notes > 0) {
        plugin->player->heard = tell_note;
        plugin->player->context = plugin;
    }
    for (size_t control = 0; control < controls(); ++control) {
        plugin->base[control] = plugin_tables.control[control].rest;
        atomic_store(&plugin->value[control], plugin->base[control]);
    }
    plugin->clap = (ClapPlugin){
        .about = &about,
        .context = plugin,
        .init = clap_init,
        .destroy = clap_destroy,
        .activate = clap_activate,
        .deactivate = clap_deactivate,
        .start = clap_start,
        .stop = clap_stop,
        .reset = clap_reset,
        .process = clap_process,
        .extension = clap_extension,
        .on_main_thread = clap_on_main_thread,
    };
    return &plugin->clap;
}

static bool entry_init(const char *path) {
    (void)path;
    about.id = plugin_tables.id;
    about.name = plugin_tables.name;
    about.vendor = "Vaectrol";
    about.url = about.manual_url = about.support_url = "";
    about.release = plugin_tables.version;
    about.description = plugin_tables.words;
    about.features = plugin_tables.features;
    return true;
}

static void entry_deinit(void) {}

static const void *entry_factory(const char *name) {
    static const ClapFactory factory = {.count = factory_count, .about = factory_about, .create = factory_create};
    return strcmp(name, CLAP_FACTORY) == 0 ? &factory : NULL;
}

extern EXPORTED const ClapEntry clap_entry;
const ClapEntry clap_entry = {
    .version = CLAP_SPOKEN,
    .init = entry_init,
    .deinit = entry_deinit,
    .factory = entry_factory,
};
