/* A host that misbehaves: random event lists, wrong sizes and times, NaN everywhere, buffers in place or absent.
 *
 *     clap_fuzz LISTS SEED     built into one program with the plugin, under the sanitizers
 *
 * Whatever comes in, what goes out is finite and no louder than a converter can take.
 */
#include "../../firmware/ports/clap/clap_abi.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_EVENTS 24u
#define MOST_FRAMES 200u
#define MOST_PORTS 64u
#define MOST_CHANNELS 96u

extern const ClapEntry clap_entry;

static uint64_t seed;

static uint32_t draw(uint32_t below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static double value(void) {
    switch (draw(12)) {
    case 0: return (double)NAN;
    case 1: return (double)INFINITY;
    case 2: return -1e300;
    case 3: return 1e300;
    default: return draw(1001) / 1000.0;
    }
}

static float sample(void) {
    switch (draw(64)) {
    case 0: return NAN;
    case 1: return INFINITY;
    case 2: return -3e38f;
    case 3: return 1e-40f;
    default: return (float)draw(2001) / 1000.0f - 1.0f;
    }
}

static const void *host_extension(const ClapHost *host, const char *name) {
    (void)host;
    (void)name;
    return NULL;
}
static void host_nothing(const ClapHost *host) { (void)host; }
static const ClapHost host = {
    CLAP_SPOKEN, NULL, "", "", "", "", host_extension, host_nothing, host_nothing, host_nothing,
};

typedef union AnyEvent {
    ClapEvent head;
    ClapNote note;
    ClapValue value;
    ClapMidi midi;
    ClapTransport transport;
} AnyEvent;

static ClapEvent *list[MOST_EVENTS];
static uint32_t listed;

static uint32_t events_count(const ClapEventsIn *in) {
    (void)in;
    return listed;
}
static const ClapEvent *events_get(const ClapEventsIn *in, uint32_t index) {
    (void)in;
    return list[index];
}
static bool events_push(const ClapEventsOut *out, const ClapEvent *event) {
    (void)out;
    return event->time < MOST_FRAMES && draw(2);
}

/* An event in memory of exactly the size that it claims, so that a reader beyond it is caught. */
static ClapEvent *event_of(const ClapPlugin *plugin) {
    const ClapParameters *parameters = plugin->extension(plugin, CLAP_PARAMETERS);
    static const uint16_t types[] = {CLAP_NOTE_ON,
                                     CLAP_NOTE_ON,
                                     CLAP_NOTE_OFF,
                                     CLAP_NOTE_CHOKE,
                                     CLAP_VALUE,
                                     CLAP_VALUE,
                                     CLAP_MODULATION,
                                     CLAP_TRANSPORT,
                                     CLAP_MIDI,
                                     CLAP_MIDI,
                                     3,
                                     4,
                                     11,
                                     12};
    AnyEvent made;
    memset(&made, 0, sizeof made);
    uint16_t type = draw(40) == 0 ? (uint16_t)draw(65536) : types[draw(sizeof types / sizeof *types)];
    size_t bytes = sizeof(ClapEvent);
    if (type == CLAP_VALUE || type == CLAP_MODULATION) {
        bytes = sizeof made.value;
        ClapParameter one = {.id = draw(100000)};
        (void)parameters->get(plugin, draw(parameters->count(plugin) + 2), &one);
        made.value.parameter = one.id;
        made.value.note = (int32_t)draw(3) - 1;
        made.value.channel = made.value.key = made.value.port = (int16_t)((int)draw(2) - 1);
        made.value.value = value();
    } else if (type == CLAP_MIDI) {
        bytes = sizeof made.midi;
        for (unsigned i = 0; i < 3; ++i) {
            made.midi.data[i] = (uint8_t)draw(256);
        }
    } else if (type == CLAP_TRANSPORT) {
        bytes = sizeof made.transport;
        made.transport.flags = draw(64);
        made.transport.beats = (int64_t)((uint64_t)draw(1u << 30) << draw(34));
        made.transport.tempo = draw(4) ? 40.0 + draw(200) : value();
    } else if (type <= CLAP_NOTE_CHOKE) {
        bytes = sizeof made.note;
        made.note.note = (int32_t)draw(10) - 1;
        made.note.channel = (int16_t)((int)draw(20) - 2);
        made.note.key = (int16_t)(draw(20) == 0 ? (int)draw(65536) - 32768 : (int)draw(132) - 2);
        made.note.velocity = value();
    }
    if (draw(30) == 0) {
        bytes = sizeof(ClapEvent) + draw((uint32_t)(bytes - sizeof(ClapEvent)) + 1u);
    }
    made.head.bytes = (uint32_t)bytes;
    made.head.time = draw(20) == 0 ? draw(UINT32_MAX) : draw(MOST_FRAMES);
    made.head.space = (uint16_t)(draw(30) == 0 ? draw(65536) : 0);
    made.head.type = type;
    ClapEvent *event = malloc(bytes);
    if (event != NULL) {
        memcpy(event, &made, bytes);
    }
    return event;
}

static void fill(const ClapPlugin *plugin) {
    listed = draw(MOST_EVENTS + 1u);
    for (uint32_t i = 0; i < listed; ++i) {
        list[i] = draw(50) == 0 ? NULL : event_of(plugin);
    }
}

static void forget(void) {
    for (uint32_t i = 0; i < listed; ++i) {
        free(list[i]);
    }
    listed = 0;
}

/* Channels in memory of exactly the block's size; some absent, some outputs in place of an input. */
static uint32_t ports_of(const ClapPlugin *plugin, bool is_input, uint32_t frames, ClapBuffer *buffer, float **channel,
                         float *const *aliased) {
    const ClapAudioPorts *ports = plugin->extension(plugin, CLAP_AUDIO_PORTS);
    uint32_t count = ports->count(plugin, is_input), at = 0;
    for (uint32_t i = 0; i < count; ++i) {
        ClapAudioPort port;
        (void)ports->get(plugin, i, is_input, &port);
        buffer[i] = (ClapBuffer){.floats = draw(30) ? channel + at : NULL, .channels = port.channels - (draw(30) == 0)};
        for (uint32_t c = 0; c < port.channels; ++c, ++at) {
            channel[at] = draw(30) ? malloc(frames * sizeof(float) + 1u) : NULL;
            for (uint32_t f = 0; f < frames && channel[at] != NULL; ++f) {
                channel[at][f] = is_input ? sample() : NAN;
            }
            if (aliased != NULL && draw(10) == 0) {
                free(channel[at]);
                channel[at] = aliased[at];
            }
        }
    }
    return draw(30) ? count : count - count / 2;
}

static void check(const ClapBuffer *buffer, uint32_t ports, uint32_t frames) {
    for (uint32_t p = 0; p < ports; ++p) {
        for (uint32_t c = 0; c < buffer[p].channels && buffer[p].floats != NULL; ++c) {
            for (uint32_t f = 0; f < frames && buffer[p].floats[c] != NULL; ++f) {
                if (!(fabsf(buffer[p].floats[c][f]) <= 1.01f)) {
                    (void)printf("port %u channel %u frame %u: %g\n", p, c, f, (double)buffer[p].floats[c][f]);
                    exit(1);
                }
            }
        }
    }
}

static void block(const ClapPlugin *plugin) {
    static ClapBuffer in[MOST_PORTS], out[MOST_PORTS];
    static float *in_channel[MOST_CHANNELS], *out_channel[MOST_CHANNELS];
    const uint32_t frames = draw(MOST_FRAMES + 1u);
    const uint32_t ins = ports_of(plugin, true, frames, in, in_channel, NULL);
    const uint32_t outs = ports_of(plugin, false, frames, out, out_channel, in_channel);
    fill(plugin);
    const ClapEventsIn events_in = {NULL, events_count, events_get};
    const ClapEventsOut events_out = {NULL, events_push};
    const ClapTransport song = {
        .flags = draw(64), .beats = (int64_t)draw(1u << 30) << draw(5), .tempo = draw(8) ? 120.0 : value()};
    const ClapProcess process = {
        .frames = frames,
        .transport = draw(3) ? &song : NULL,
        .in = draw(40) ? in : NULL,
        .out = draw(40) ? out : NULL,
        .ins = ins,
        .outs = outs,
        .events_in = draw(20) ? &events_in : NULL,
        .events_out = draw(20) ? &events_out : NULL,
    };
    if (plugin->process(plugin, &process) == CLAP_PROCESS_FAILED) {
        exit(2);
    }
    if (process.out != NULL) {
        check(out, outs, frames);
    }
    forget();
    for (uint32_t c = 0; c < MOST_CHANNELS; ++c) {
        if (out_channel[c] != in_channel[c]) {
            free(out_channel[c]);
        }
        free(in_channel[c]);
        in_channel[c] = out_channel[c] = NULL;
    }
}

static int64_t rubbish(const ClapReader *from, void *data, uint64_t bytes) {
    (void)from;
    if (draw(4) == 0) {
        return (int64_t)draw(3) - 1;
    }
    const uint64_t now = 1 + draw((uint32_t)(bytes < 64 ? bytes : 64));
    for (uint64_t i = 0; i < now && i < bytes; ++i) {
        ((uint8_t *)data)[i] = draw(2) ? (uint8_t)"VAEC\1\0\0\0"[i % 8] : (uint8_t)draw(256);
    }
    return (int64_t)(now < bytes ? now : bytes);
}

static void words(const ClapPlugin *plugin) {
    const ClapParameters *parameters = plugin->extension(plugin, CLAP_PARAMETERS);
    ClapParameter one = {.id = draw(9)};
    (void)parameters->get(plugin, draw(parameters->count(plugin) + 2), &one);
    const uint32_t bytes = 1 + draw(40);
    char *text = malloc(bytes);
    double back;
    if (text != NULL && parameters->write(plugin, one.id, value(), text, bytes) && strlen(text) < bytes &&
        parameters->read(plugin, one.id, text, &back) && !(back >= 0.0 && back <= 1.0)) {
        exit(3);
    }
    free(text);
    static const char *const odd[] = {"", " ", "nan", "inf", "-5 %", "1e999", "on", "kick", "0x10", "%s%n"};
    if (parameters->read(plugin, one.id, odd[draw(10)], &back) && !(back >= 0.0 && back <= 1.0)) {
        exit(4);
    }
}

int main(int count, char **arguments) {
    const long lists = count > 1 ? atol(arguments[1]) : 100;
    seed = count > 2 ? (uint64_t)atol(arguments[2]) : 1;
    (void)clap_entry.init("");
    const ClapFactory *factory = clap_entry.factory(CLAP_FACTORY);
    const ClapPlugin *plugin[2];
    for (unsigned i = 0; i < 2; ++i) {
        plugin[i] = factory->create(factory, &host, factory->about(factory, 0)->id);
        if (!plugin[i]->activate(plugin[i], 48000.0, 1, MOST_FRAMES)) {
            return 5;
        }
    }
    for (long i = 0; i < lists; ++i) {
        const unsigned which = draw(2);
        const ClapPlugin *one = plugin[which];
        block(one);
        switch (draw(60)) {
        case 0: one->reset(one); break;
        case 1:
            one->deactivate(one);
            (void)one->activate(one, value(), 0, UINT32_MAX);
            (void)one->activate(one, 48000.0, 1, MOST_FRAMES);
            break;
        case 2: {
            const ClapState *state = one->extension(one, CLAP_STATE);
            const ClapReader from = {NULL, rubbish};
            (void)state->load(one, &from);
            break;
        }
        case 3: {
            const ClapParameters *parameters = one->extension(one, CLAP_PARAMETERS);
            const ClapEventsIn in = {NULL, events_count, events_get};
            fill(one);
            parameters->flush(one, &in, NULL);
            forget();
            break;
        }
        case 4:
            one->destroy(one);
            plugin[which] = factory->create(factory, &host, factory->about(factory, 0)->id);
            (void)plugin[which]->activate(plugin[which], 48000.0, 1, MOST_FRAMES);
            break;
        default: words(one);
        }
    }
    plugin[0]->destroy(plugin[0]);
    plugin[1]->destroy(plugin[1]);
    clap_entry.deinit();
    (void)printf("%ld lists\n", lists);
    return 0;
}
