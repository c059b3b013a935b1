/* The part of the CLAP plugin interface, version 1.2, that clap.c speaks: the layout of what host and plugin hand each
 * other, and the numbers and names that they agree on.
 *
 * Written from the published interface (github.com/free-audio/clap, MIT); tests/firmware/test_clap_abi.py holds sizes,
 * places and numbers to the real headers where CLAP_DIR names a checkout.
 */
#ifndef VAECTROL_PORTS_CLAP_ABI_H
#define VAECTROL_PORTS_CLAP_ABI_H

#include <stdbool.h>
#include <stdint.h>

#define CLAP_NO_ID UINT32_MAX
enum { CLAP_NAME_BYTES = 256, CLAP_PATH_BYTES = 1024 };

typedef struct ClapVersion {
    uint32_t major, minor, revision;
} ClapVersion;
#define CLAP_SPOKEN {1, 2, 0}

/* ---- events --------------------------------------------------------------------------------------------------- */

enum {
    CLAP_NOTE_ON = 0,
    CLAP_NOTE_OFF = 1,
    CLAP_NOTE_CHOKE = 2,
    CLAP_VALUE = 5,
    CLAP_MODULATION = 6,
    CLAP_TRANSPORT = 9,
    CLAP_MIDI = 10
};

typedef struct ClapEvent {
    uint32_t bytes, time; /* of the whole event; samples into the block */
    uint16_t space, type; /* space 0: those above */
    uint32_t flags;
} ClapEvent;

/* Port, channel and key may be -1: any. */
typedef struct ClapNote {
    ClapEvent head;
    int32_t note;
    int16_t port, channel, key;
    double velocity; /* 0 … 1 */
} ClapNote;

/* A parameter's value, or what is added to it. */
typedef struct ClapValue {
    ClapEvent head;
    uint32_t parameter;
    void *cookie;
    int32_t note;
    int16_t port, channel, key;
    double value;
} ClapValue;

typedef struct ClapMidi {
    ClapEvent head;
    uint16_t port;
    uint8_t data[3];
} ClapMidi;

enum { CLAP_HAS_TEMPO = 1, CLAP_HAS_BEATS = 2, CLAP_IS_PLAYING = 16 };
#define CLAP_BEAT 2147483648.0 /* of a ClapTransport's beats */

typedef struct ClapTransport {
    ClapEvent head;
    uint32_t flags;
    int64_t beats, seconds;         /* where the song is */
    double tempo, tempo_per_sample; /* beats a minute */
    int64_t loop_from_beats, loop_to_beats, loop_from_seconds, loop_to_seconds;
    int64_t bar_beats;
    int32_t bar;
    uint16_t numerator, denominator;
} ClapTransport;

typedef struct ClapEventsIn {
    void *context;
    uint32_t (*count)(const struct ClapEventsIn *list);
    const ClapEvent *(*get)(const struct ClapEventsIn *list, uint32_t index);
} ClapEventsIn;

typedef struct ClapEventsOut {
    void *context;
    bool (*push)(const struct ClapEventsOut *list, const ClapEvent *event);
} ClapEventsOut;

/* ---- a block of sound ----------------------------------------------------------------------------------------- */

typedef struct ClapBuffer {
    float **floats; /* [channels][frames], one of the two */
    double **doubles;
    uint32_t channels, latency;
    uint64_t constant; /* bit c: all samples of channel c are its first */
} ClapBuffer;

typedef struct ClapProcess {
    int64_t steady_time;
    uint32_t frames;
    const ClapTransport *transport; /* NULL: none */
    const ClapBuffer *in;
    ClapBuffer *out;
    uint32_t ins, outs;
    const ClapEventsIn *events_in;
    const ClapEventsOut *events_out;
} ClapProcess;

enum { CLAP_PROCESS_FAILED = 0, CLAP_PROCESS_GOES_ON = 1 };

/* ---- host, plugin, factory, entry ----------------------------------------------------------------------------- */

typedef struct ClapHost {
    ClapVersion version;
    void *context;
    const char *name, *vendor, *url, *release;
    const void *(*extension)(const struct ClapHost *host, const char *name);
    void (*request_restart)(const struct ClapHost *host);
    void (*request_process)(const struct ClapHost *host);
    void (*request_callback)(const struct ClapHost *host);
} ClapHost;

typedef struct ClapAbout {
    ClapVersion version;
    const char *id, *name, *vendor, *url, *manual_url, *support_url, *release, *description;
    const char *const *features; /* ends with NULL */
} ClapAbout;

typedef struct ClapPlugin {
    const ClapAbout *about;
    void *context;
    bool (*init)(const struct ClapPlugin *plugin);
    void (*destroy)(const struct ClapPlugin *plugin);
    bool (*activate)(const struct ClapPlugin *plugin, double rate_hz, uint32_t least_frames, uint32_t most_frames);
    void (*deactivate)(const struct ClapPlugin *plugin);
    bool (*start)(const struct ClapPlugin *plugin);
    void (*stop)(const struct ClapPlugin *plugin);
    void (*reset)(const struct ClapPlugin *plugin);
    int32_t (*process)(const struct ClapPlugin *plugin, const ClapProcess *process);
    const void *(*extension)(const struct ClapPlugin *plugin, const char *name);
    void (*on_main_thread)(const struct ClapPlugin *plugin);
} ClapPlugin;

#define CLAP_FACTORY "clap.plugin-factory"
typedef struct ClapFactory {
    uint32_t (*count)(const struct ClapFactory *factory);
    const ClapAbout *(*about)(const struct ClapFactory *factory, uint32_t index);
    const ClapPlugin *(*create)(const struct ClapFactory *factory, const ClapHost *host, const char *id);
} ClapFactory;

typedef struct ClapEntry {
    ClapVersion version;
    bool (*init)(const char *path);
    void (*deinit)(void);
    const void *(*factory)(const char *name);
} ClapEntry;

/* ---- extensions ----------------------------------------------------------------------------------------------- */

#define CLAP_PARAMETERS "clap.params"
enum {
    CLAP_IS_STEPPED = 1,
    CLAP_IS_AUTOMATABLE = 1 << 5,
    CLAP_IS_MODULATABLE = 1 << 10,
};
typedef struct ClapParameter {
    uint32_t id, flags;
    void *cookie;
    char name[CLAP_NAME_BYTES], module[CLAP_PATH_BYTES];
    double least, most, rest;
} ClapParameter;
typedef struct ClapParameters {
    uint32_t (*count)(const ClapPlugin *plugin);
    bool (*get)(const ClapPlugin *plugin, uint32_t index, ClapParameter *parameter);
    bool (*value)(const ClapPlugin *plugin, uint32_t id, double *value);
    bool (*write)(const ClapPlugin *plugin, uint32_t id, double value, char *text, uint32_t bytes);
    bool (*read)(const ClapPlugin *plugin, uint32_t id, const char *text, double *value);
    void (*flush)(const ClapPlugin *plugin, const ClapEventsIn *in, const ClapEventsOut *out);
} ClapParameters;
enum { CLAP_RESCAN_VALUES = 1 };
typedef struct ClapHostParameters {
    void (*rescan)(const ClapHost *host, uint32_t flags);
    void (*clear)(const ClapHost *host, uint32_t id, uint32_t flags);
    void (*request_flush)(const ClapHost *host);
} ClapHostParameters;

#define CLAP_AUDIO_PORTS "clap.audio-ports"
#define CLAP_MONO "mono"
#define CLAP_STEREO "stereo"
enum { CLAP_IS_MAIN = 1 };
typedef struct ClapAudioPort {
    uint32_t id;
    char name[CLAP_NAME_BYTES];
    uint32_t flags, channels;
    const char *type;
    uint32_t in_place_with;
} ClapAudioPort;
typedef struct ClapAudioPorts {
    uint32_t (*count)(const ClapPlugin *plugin, bool is_input);
    bool (*get)(const ClapPlugin *plugin, uint32_t index, bool is_input, ClapAudioPort *port);
} ClapAudioPorts;

#define CLAP_NOTE_PORTS "clap.note-ports"
enum { CLAP_SPEAKS_NOTES = 1, CLAP_SPEAKS_MIDI = 2 };
typedef struct ClapNotePort {
    uint32_t id, dialects, best;
    char name[CLAP_NAME_BYTES];
} ClapNotePort;
typedef struct ClapNotePorts {
    uint32_t (*count)(const ClapPlugin *plugin, bool is_input);
    bool (*get)(const ClapPlugin *plugin, uint32_t index, bool is_input, ClapNotePort *port);
} ClapNotePorts;

#define CLAP_LATENCY "clap.latency"
typedef struct ClapLatency {
    uint32_t (*ticks)(const ClapPlugin *plugin);
} ClapLatency;

#define CLAP_STATE "clap.state"
typedef struct ClapReader {
    void *context;
    int64_t (*read)(const struct ClapReader *from, void *data, uint64_t bytes); /* 0: the end; -1: failed */
} ClapReader;
typedef struct ClapWriter {
    void *context;
    int64_t (*write)(const struct ClapWriter *to, const void *data, uint64_t bytes);
} ClapWriter;
typedef struct ClapState {
    bool (*save)(const ClapPlugin *plugin, const ClapWriter *to);
    bool (*load)(const ClapPlugin *plugin, const ClapReader *from);
} ClapState;

#define CLAP_LOG "clap.log"
enum { CLAP_SEVERE = 3 };
typedef struct ClapHostLog {
    void (*log)(const ClapHost *host, int32_t severity, const char *words);
} ClapHostLog;

#endif
