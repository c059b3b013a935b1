/* A host for one CLAP file, as small as one can be: it says what is in it, plays a job, and tries its states.
 *
 *     clap_host FILE.clap about             JSON: parameters, ports, latency
 *     clap_host FILE.clap render JOB OUT    instances in turn; JSON: how often the audio thread asked for memory
 *     clap_host FILE.clap state             a state saved, loaded elsewhere, and damaged in every byte
 */
#define _GNU_SOURCE
#include "../../firmware/ports/clap/clap_abi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CHANNELS 96u
#define MOST_PORTS 64u
#define MOST_INSTANCES 4u
#define MOST_EVENTS 1024u
#define RATE_HZ 48000.0

/* ---- memory: who asks for it while a block is played --------------------------------------------------------- */

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void __libc_free(void *memory);

static bool playing;
static unsigned asked;

void *malloc(size_t bytes) {
    asked += playing;
    return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
    asked += playing;
    return __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes) {
    asked += playing;
    return __libc_realloc(memory, bytes);
}
void free(void *memory) {
    asked += playing;
    __libc_free(memory);
}

/* ---- the host -------------------------------------------------------------------------------------------------- */

static char last_log[256];

static void host_log(const ClapHost *host, int32_t severity, const char *words) {
    (void)host;
    (void)severity;
    (void)snprintf(last_log, sizeof last_log, "%s", words);
}

static const void *host_extension(const ClapHost *host, const char *name) {
    (void)host;
    static const ClapHostLog log = {host_log};
    return strcmp(name, CLAP_LOG) == 0 ? &log : NULL;
}

static void host_nothing(const ClapHost *host) { (void)host; }

static const ClapHost host = {
    CLAP_SPOKEN, NULL, "test", "test", "", "1", host_extension, host_nothing, host_nothing, host_nothing,
};

static void die(const char *why) {
    (void)fprintf(stderr, "%s\n", why);
    exit(1);
}

static const ClapPlugin *create(const ClapEntry *entry) {
    const ClapFactory *factory = entry->factory(CLAP_FACTORY);
    if (factory == NULL || factory->count(factory) != 1) {
        die("no factory");
    }
    const ClapPlugin *plugin = factory->create(factory, &host, factory->about(factory, 0)->id);
    if (plugin == NULL || !plugin->init(plugin)) {
        die("no plugin");
    }
    return plugin;
}

/* ---- about ------------------------------------------------------------------------------------------------------ */

static void tell_ports(const ClapPlugin *plugin, bool is_input) {
    const ClapAudioPorts *ports = plugin->extension(plugin, CLAP_AUDIO_PORTS);
    (void)printf("\"%s\": [", is_input ? "in" : "out");
    for (uint32_t i = 0; i < ports->count(plugin, is_input); ++i) {
        ClapAudioPort port;
        if (!ports->get(plugin, i, is_input, &port)) {
            die("no port");
        }
        (void)printf("%s{\"name\": \"%s\", \"channels\": %u, \"flags\": %u, \"type\": \"%s\"}", i ? ", " : "",
                     port.name, port.channels, port.flags, port.type);
    }
    (void)printf("], ");
}

static void tell_parameters(const ClapPlugin *plugin) {
    const ClapParameters *parameters = plugin->extension(plugin, CLAP_PARAMETERS);
    (void)printf("\"parameters\": [");
    for (uint32_t i = 0; i < parameters->count(plugin); ++i) {
        ClapParameter one;
        char low[64], middle[64], rest[64];
        double value = -1.0, back = -1.0;
        if (!parameters->get(plugin, i, &one) || !parameters->value(plugin, one.id, &value) ||
            !parameters->write(plugin, one.id, 0.0, low, sizeof low) ||
            !parameters->write(plugin, one.id, 0.371, middle, sizeof middle) ||
            !parameters->write(plugin, one.id, one.rest, rest, sizeof rest) ||
            !parameters->read(plugin, one.id, rest, &back)) {
            die("no parameter");
        }
        (void)printf("%s{\"id\": %u, \"name\": \"%s\", \"module\": \"%s\", \"flags\": %u, \"rest\": %.17g, "
                     "\"value\": %.17g, \"low\": \"%s\", \"middle\": \"%s\", \"rest_text\": \"%s\", \"back\": %.17g}",
                     i ? ", " : "", one.id, one.name, one.module, one.flags, one.rest, value, low, middle, rest, back);
    }
    (void)printf("], ");
}

static void about(const ClapEntry *entry) {
    const ClapPlugin *plugin = create(entry);
    const ClapLatency *latency = plugin->extension(plugin, CLAP_LATENCY);
    const ClapNotePorts *notes = plugin->extension(plugin, CLAP_NOTE_PORTS);
    const bool other_rate = plugin->activate(plugin, 44100.0, 1, 4096);
    (void)printf("{\"id\": \"%s\", \"name\": \"%s\", \"release\": \"%s\", \"feature\": \"%s\", ", plugin->about->id,
                 plugin->about->name, plugin->about->release, plugin->about->features[0]);
    tell_ports(plugin, true);
    tell_ports(plugin, false);
    tell_parameters(plugin);
    (void)printf("\"keys\": %u, \"hits\": %u, \"latency\": %u, \"other_rate\": %s, \"log\": \"%s\"}\n",
                 notes->count(plugin, true), notes->count(plugin, false), latency->ticks(plugin),
                 other_rate ? "true" : "false", last_log);
    plugin->destroy(plugin);
}

/* ---- render ------------------------------------------------------------------------------------------------------ */

typedef struct JobEvent {
    uint32_t tick, type, id;
    int32_t channel, key;
    uint32_t midi;
    double value, tempo;
} JobEvent;

typedef union AnyEvent {
    ClapEvent head;
    ClapNote note;
    ClapValue value;
    ClapMidi midi;
    ClapTransport transport;
} AnyEvent;

typedef struct Heard {
    uint32_t tick, type;
    int32_t key;
    uint32_t zero;
    double velocity;
} Heard;

typedef struct Run {
    const ClapPlugin *plugin;
    uint32_t blocks, events, channels_in, channels_out, ports_in, ports_out;
    uint32_t *block;
    JobEvent *event;
    float *in, *out;
    uint32_t next_block, next_event, done;
    AnyEvent made[MOST_EVENTS];
    uint32_t count;
    Heard heard[4096];
    uint32_t hits;
    ClapBuffer in_port[MOST_PORTS], out_port[MOST_PORTS];
    float *in_channel[MOST_CHANNELS], *out_channel[MOST_CHANNELS];
} Run;

static uint32_t events_count(const ClapEventsIn *list) { return ((const Run *)list->context)->count; }

static const ClapEvent *events_get(const ClapEventsIn *list, uint32_t index) {
    return &((const Run *)list->context)->made[index].head;
}

static bool events_push(const ClapEventsOut *list, const ClapEvent *event) {
    Run *run = list->context;
    const ClapNote *note = (const ClapNote *)event;
    if (run->hits < sizeof run->heard / sizeof *run->heard) {
        run->heard[run->hits++] = (Heard){run->done + event->time, event->type, note->key, 0, note->velocity};
    }
    return true;
}

static AnyEvent made_of(const JobEvent *event, uint32_t begin) {
    AnyEvent made = {.head = {.time = event->tick - begin, .type = (uint16_t)event->type}};
    if (event->type == CLAP_VALUE || event->type == CLAP_MODULATION) {
        made.head.bytes = sizeof made.value;
        made.value.parameter = event->id;
        made.value.note = -1;
        made.value.port = made.value.channel = made.value.key = -1;
        made.value.value = event->value;
    } else if (event->type == CLAP_MIDI) {
        made.head.bytes = sizeof made.midi;
        for (unsigned i = 0; i < 3; ++i) {
            made.midi.data[i] = (uint8_t)(event->midi >> 8 * i);
        }
    } else if (event->type == CLAP_TRANSPORT) {
        made.head.bytes = sizeof made.transport;
        made.transport.flags = CLAP_HAS_TEMPO | CLAP_HAS_BEATS | (event->id ? CLAP_IS_PLAYING : 0);
        made.transport.beats = (int64_t)(event->value * CLAP_BEAT);
        made.transport.tempo = event->tempo;
    } else {
        made.head.bytes = sizeof made.note;
        made.note.note = -1;
        made.note.channel = (int16_t)event->channel;
        made.note.key = (int16_t)event->key;
        made.note.velocity = event->value;
    }
    return made;
}

static void find_ports(Run *run, bool is_input) {
    const ClapAudioPorts *ports = run->plugin->extension(run->plugin, CLAP_AUDIO_PORTS);
    const uint32_t count = ports->count(run->plugin, is_input);
    ClapBuffer *buffer = is_input ? run->in_port : run->out_port;
    float **channel = is_input ? run->in_channel : run->out_channel;
    uint32_t channels = 0;
    for (uint32_t i = 0; i < count; ++i) {
        ClapAudioPort port;
        (void)ports->get(run->plugin, i, is_input, &port);
        buffer[i] = (ClapBuffer){.floats = channel + channels, .channels = port.channels};
        channels += port.channels;
    }
    *(is_input ? &run->channels_in : &run->channels_out) = channels;
    *(is_input ? &run->ports_in : &run->ports_out) = count;
}

static void step(Run *run, uint32_t ticks) {
    const uint32_t frames = run->block[run->next_block++];
    run->count = 0;
    while (run->next_event < run->events && run->event[run->next_event].tick < run->done + frames) {
        run->made[run->count++] = made_of(&run->event[run->next_event++], run->done);
    }
    for (uint32_t c = 0; c < run->channels_in; ++c) {
        run->in_channel[c] = run->in + (size_t)c * ticks + run->done;
    }
    for (uint32_t c = 0; c < run->channels_out; ++c) {
        run->out_channel[c] = run->out + (size_t)c * ticks + run->done;
    }
    const ClapEventsIn in = {run, events_count, events_get};
    const ClapEventsOut out = {run, events_push};
    const ClapProcess process = {
        .steady_time = run->done,
        .frames = frames,
        .in = run->in_port,
        .out = run->out_port,
        .ins = run->ports_in,
        .outs = run->ports_out,
        .events_in = &in,
        .events_out = &out,
    };
    playing = true;
    const int32_t status = run->plugin->process(run->plugin, &process);
    playing = false;
    if (status == CLAP_PROCESS_FAILED) {
        die("a block failed");
    }
    run->done += frames;
}

static void must_read(void *to, size_t bytes, size_t count, FILE *file) {
    if (count > 0 && fread(to, bytes, count, file) != count) {
        die("the job ends too soon");
    }
}

static void render(const ClapEntry *entry, const char *job, const char *out) {
    static Run runs[MOST_INSTANCES];
    FILE *file = fopen(job, "rb");
    uint32_t head[2];
    if (file == NULL) {
        die("no job");
    }
    must_read(head, sizeof *head, 2, file);
    const uint32_t instances = head[0], ticks = head[1];
    for (uint32_t i = 0; i < instances; ++i) {
        Run *run = &runs[i];
        run->plugin = create(entry);
        find_ports(run, true);
        find_ports(run, false);
        must_read(&run->blocks, sizeof run->blocks, 1, file);
        run->block = calloc(run->blocks, sizeof *run->block);
        must_read(run->block, sizeof *run->block, run->blocks, file);
        must_read(&run->events, sizeof run->events, 1, file);
        run->event = calloc(run->events + 1, sizeof *run->event);
        must_read(run->event, sizeof *run->event, run->events, file);
        run->in = calloc((size_t)run->channels_in * ticks + 1, sizeof(float));
        must_read(run->in, sizeof(float), (size_t)run->channels_in * ticks, file);
        run->out = calloc((size_t)run->channels_out * ticks + 1, sizeof(float));
        if (!run->plugin->activate(run->plugin, RATE_HZ, 1, 4096) || !run->plugin->start(run->plugin)) {
            die("not active");
        }
    }
    (void)fclose(file);
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < instances; ++i) {
            if (runs[i].next_block < runs[i].blocks) {
                step(&runs[i], ticks);
                more = true;
            }
        }
    }
    file = fopen(out, "wb");
    for (uint32_t i = 0; i < instances && file != NULL; ++i) {
        Run *run = &runs[i];
        (void)fwrite(run->out, sizeof(float), (size_t)run->channels_out * ticks, file);
        (void)fwrite(&run->hits, sizeof run->hits, 1, file);
        (void)fwrite(run->heard, sizeof *run->heard, run->hits, file);
        run->plugin->stop(run->plugin);
        run->plugin->deactivate(run->plugin);
        run->plugin->destroy(run->plugin);
    }
    (void)fclose(file);
    (void)printf("{\"asked\": %u}\n", asked);
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

typedef struct Bytes {
    uint8_t data[8192];
    uint64_t count, at;
} Bytes;

/* A few at a time, as a host may. */
static int64_t bytes_write(const ClapWriter *to, const void *data, uint64_t bytes) {
    Bytes *all = to->context;
    const uint64_t now = bytes < 13 ? bytes : 13;
    memcpy(all->data + all->count, data, now);
    all->count += now;
    return (int64_t)now;
}

static int64_t bytes_read(const ClapReader *from, void *data, uint64_t bytes) {
    Bytes *all = from->context;
    const uint64_t left = all->count - all->at, some = bytes < 7 ? bytes : 7, now = some < left ? some : left;
    memcpy(data, all->data + all->at, now);
    all->at += now;
    return (int64_t)now;
}

static bool load(const ClapPlugin *plugin, Bytes bytes) {
    const ClapState *state = plugin->extension(plugin, CLAP_STATE);
    bytes.at = 0;
    const ClapReader from = {&bytes, bytes_read};
    return state->load(plugin, &from);
}

static void move_all(const ClapPlugin *plugin, Run *run, double by) {
    const ClapParameters *parameters = plugin->extension(plugin, CLAP_PARAMETERS);
    run->count = 0;
    for (uint32_t i = 0; i < parameters->count(plugin); ++i) {
        ClapParameter one;
        (void)parameters->get(plugin, i, &one);
        const double value = one.rest * 0.5 + by * i / 200.0;
        run->made[run->count++] = made_of(&(JobEvent){.type = CLAP_VALUE, .id = one.id, .value = value}, 0);
    }
    const ClapEventsIn in = {run, events_count, events_get};
    parameters->flush(plugin, &in, NULL);
}

static unsigned differing(const ClapPlugin *one, const ClapPlugin *other) {
    const ClapParameters *parameters = one->extension(one, CLAP_PARAMETERS);
    unsigned count = 0;
    for (uint32_t i = 0; i < parameters->count(one); ++i) {
        ClapParameter about_it;
        double a = 0.0, b = 0.0;
        (void)parameters->get(one, i, &about_it);
        (void)parameters->value(one, about_it.id, &a);
        (void)parameters->value(other, about_it.id, &b);
        count += a < b || a > b;
    }
    return count;
}

/* A key pressed at once, and what comes of it in two seconds. */
#define LISTENED 96000u
static void listen(const ClapPlugin *plugin, Run *run) {
    static const JobEvent key = {.type = CLAP_MIDI, .midi = 0x7f2490};
    static JobEvent event;
    static uint32_t blocks[LISTENED / 480u];
    event = key;
    for (size_t i = 0; i < LISTENED / 480u; ++i) {
        blocks[i] = 480u;
    }
    *run = (Run){.plugin = plugin, .blocks = LISTENED / 480u, .block = blocks, .events = 1, .event = &event};
    find_ports(run, true);
    find_ports(run, false);
    run->in = calloc((size_t)run->channels_in * LISTENED + 1, sizeof(float));
    run->out = calloc((size_t)run->channels_out * LISTENED + 1, sizeof(float));
    while (run->next_block < run->blocks) {
        step(run, LISTENED);
    }
}

static unsigned apart(const Run *one, const Run *other) {
    unsigned count = 0;
    for (size_t i = 0; i < (size_t)one->channels_out * LISTENED; ++i) {
        count += memcmp(&one->out[i], &other->out[i], sizeof(float)) != 0;
    }
    return count;
}

static void states(const ClapEntry *entry) {
    static Run run, moved, loaded, reset, rested;
    static Bytes saved;
    const ClapPlugin *one = create(entry), *other = create(entry), *rest = create(entry);
    move_all(one, &run, 1.0);
    const unsigned before = differing(one, other);
    const ClapWriter to = {&saved, bytes_write};
    const ClapState *state = one->extension(one, CLAP_STATE);
    if (!state->save(one, &to) || !load(other, saved)) {
        die("no state");
    }
    const unsigned after = differing(one, other);
    /* heard: moved before it begins; loaded while it plays; begun anew; at rest */
    (void)one->activate(one, RATE_HZ, 1, 4096);
    listen(one, &moved);
    const ClapPlugin *late = create(entry);
    (void)late->activate(late, RATE_HZ, 1, 4096);
    (void)load(late, saved);
    listen(late, &loaded);
    late->reset(late);
    listen(late, &reset);
    (void)rest->activate(rest, RATE_HZ, 1, 4096);
    listen(rest, &rested);
    unsigned taken = 0;
    for (uint64_t at = 0; at < saved.count; ++at) {
        Bytes damaged = saved, cut = saved;
        damaged.data[at] ^= 0x55;
        cut.count = at;
        taken += load(rest, damaged) + load(rest, cut);
    }
    const ClapPlugin *fresh = create(entry);
    (void)printf("{\"bytes\": %u, \"before\": %u, \"after\": %u, \"damaged_taken\": %u, \"moved_by_damage\": %u, "
                 "\"loaded_apart\": %u, \"reset_apart\": %u, \"rest_apart\": %u, \"log\": \"%s\"}\n",
                 (unsigned)saved.count, before, after, taken, differing(rest, fresh), apart(&moved, &loaded),
                 apart(&moved, &reset), apart(&moved, &rested), last_log);
}

int main(int count, char **words) {
    if (count < 3) {
        die("clap_host FILE.clap about|state|render JOB OUT");
    }
    void *library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        die(dlerror());
    }
    const ClapEntry *entry = dlsym(library, "clap_entry");
    if (entry == NULL || !entry->init(words[1])) {
        die("no entry");
    }
    if (strcmp(words[2], "about") == 0) {
        about(entry);
    } else if (strcmp(words[2], "state") == 0) {
        states(entry);
    } else if (count == 5) {
        render(entry, words[3], words[4]);
    }
    entry->deinit();
    return 0;
}
