/* An instrument as an algorithm of the disting NT: its tables, which tables.py generates, and one instance of it. */
#ifndef VAECTROL_DISTING_NT_PLUGIN_H
#define VAECTROL_DISTING_NT_PLUGIN_H

#include "abi.h"
#include "control/schmitt.h"
#include "instance.h"

/* What a parameter of the plug-in is. */
enum {
    ROW_KNOB = 0,  /* index: input of the board; thousandths of its travel, or a choice */
    ROW_SET,       /* index: parameter of the instrument, that no knob moves */
    ROW_BUTTON,    /* index: gate bit, held */
    ROW_CV_IN,     /* index: input; the value is a bus, 0: none */
    ROW_GATE_IN,   /* index: gate bit */
    ROW_AUDIO_IN,  /* index: channel */
    ROW_AUDIO_OUT, /* index: channel; the row after it says whether it adds or replaces */
    ROW_CV_OUT,    /* index: CV output */
    ROW_GATE_OUT,  /* index: gate output */
    ROW_MODE,      /* of the output before it */
    ROW_CHANNEL,   /* MIDI channel, 0: all */
    ROW_SEND       /* confirmed: the counters leave as System Exclusive */
};

#define ROW_TRAVEL 1000 /* of a knob or a parameter: 100.0 % */

typedef struct PluginRow {
    uint8_t kind, index;
    uint8_t choices;   /* 0: travel */
    uint8_t parameter; /* of the instrument, the first that it moves */
    char mark[4];      /* under its bar on the display; "": it has none */
    uint8_t law;       /* of that parameter, for its value in print */
    uint8_t points;    /* of its table; 0: only the travel is printed */
    float rest;        /* at the default, exactly: a knob's reading, a parameter's position */
    const float *table;
} PluginRow;

/* What keys do; lists are places in PluginSpec.lists. */
typedef struct PluginList {
    uint16_t first, count;
} PluginList;

typedef struct PluginKey {
    uint8_t low, high, middle;
    uint8_t trigger;            /* part, from 1; 0: none */
    int8_t gate;                /* gate function, -1: none */
    PluginList velocity, pitch; /* parameters of the instrument */
    PluginList sets;            /* the same, to the positions of PluginSpec.set_to */
    float pitch_low, pitch_span;
    uint8_t lane, lanes; /* its place among entries side by side, of which a key takes one; how many those are */
} PluginKey;
#define PLUGIN_KEYS 64u /* entries, at most */

typedef struct PluginController {
    uint8_t number;
    PluginList rows;
    float low, span;
} PluginController;

typedef struct PluginSpec {
    const char *title, *file, *version, *model_hash;
    const NtParameter *parameter; /* [rows] */
    const PluginRow *row;         /* [rows] */
    const NtPages *pages;
    const PluginKey *key;
    const PluginController *controller;
    const uint8_t *lists;
    const float *set_to;
    float latency_ms;
    float volts_in, volts_out; /* of a bus at ±1 */
    float cv_low, cv_span;     /* volts of a CV input at code 0, and from there to full code */
    uint8_t rows, keys, controllers;
    float bend;    /* semitones at the ends of the pitch wheel */
    uint8_t clock; /* MIDI clocks to a pulse, 0: none */
    bool start_resets;
    bool hears;    /* takes audio in */
    uint8_t gates; /* gate functions */
} PluginSpec;

/* Generated. */
extern const PluginSpec plugin_spec;

#define PLUGIN_RATE_HZ 48000u
#if !defined(PLUGIN_COUNTS)
#define PLUGIN_COUNTS 0 /* whether it counts its cycles: vaectrol build --counters */
#endif

#define PLUGIN_SET_WORDS ((PORT_MAX_PARAMETERS + 31u) / 32u)

/* What MIDI asked for and the instrument has not been told yet. */
typedef struct PluginMidi {
    uint8_t held[PORT_MAX_GATES];    /* keys that hold a gate function */
    uint8_t sounding[16][16];        /* bit by channel and key: holds its gates */
    uint32_t gates_told;             /* held, as the instrument knows it */
    uint32_t sets[PLUGIN_SET_WORDS]; /* bit p: parameter p goes to set_to[p] */
    float set_to[PORT_MAX_PARAMETERS];
    uint32_t strikes; /* bit v: part v */
    float accent[PORT_MAX_GATES];
    float bent;                     /* semitones */
    int16_t last;                   /* key, -1: none */
    int16_t lane_key[PLUGIN_KEYS];  /* of entries side by side: 1 + 128 · channel + key that it plays, 0: none */
    int16_t lane_note[PLUGIN_KEYS]; /* 1 + the key that it played last */
    uint32_t lane_since[PLUGIN_KEYS], moment;
    uint8_t pulses, clocks;
    bool running, reset;
    bool waits; /* anything at all */
} PluginMidi;

typedef struct PluginDisplay {
    uint32_t triggers[PORT_MAX_GATES]; /* edges as last drawn */
    uint8_t flash[PORT_MAX_GATES];     /* draws that are left of a flash */
    float level;                       /* loudest sample since the last draw, ±1 */
} PluginDisplay;

/* Cycles of the instrument itself over a window of steps, as the module counts them. */
typedef struct PluginWindow {
    uint32_t steps, frames;
    uint32_t spent;  /* in the instrument */
    uint32_t passed; /* from the first step to the last */
} PluginWindow;

/* What --counters adds. */
typedef struct PluginCounters {
    uint32_t steps, worst; /* since the instance was made; cycles of the worst of them */
    uint32_t began;        /* the last one */
    PluginWindow now, last;
} PluginCounters;

/* A jack that is patched. */
typedef struct PluginLink {
    uint8_t kind, index; /* as in PluginRow */
    bool replaces;
    uint16_t bus; /* from 0 */
} PluginLink;

#define PLUGIN_LINKS 64u /* there are no more buses */

typedef struct Plugin {
    NtAlgorithm algorithm; /* first: what the module knows of it */
    Instance *instance;
    uint32_t most_frames; /* in one piece */
    bool other_model;     /* the preset was saved with another model */
    bool changed;         /* a parameter has been; what follows says what they were */
    uint8_t links;
    PluginLink link[PLUGIN_LINKS];
    uint32_t buttons;                /* gate bits that are held */
    float readings[PORT_MAX_INPUTS]; /* knobs, and CV inputs as they were last */
    Schmitt gate[PORT_MAX_GATES];
    PluginMidi midi;
    PluginDisplay display;
    PluginCounters counters;
    int16_t *told; /* [rows] what the instrument has been told of ROW_SET */
    float *audio_in[PORT_MAX_AUDIO], *audio_out[PORT_MAX_AUDIO], *cv_out[PORT_MAX_CV_OUTS];
    uint32_t *gates_in, *gates_out;
} Plugin;

/* At any other rate the instrument would be out of tune, so it keeps silent. */
bool plugin_refuses_rate(void);

/* signals.c */
void plugin_step(NtAlgorithm *self, float *buses, int frames_by_4);
/* Position 0 … 1 that a value of a ROW_KNOB or ROW_SET says. */
float plugin_travel(const PluginRow *row, int value);

/* midi.c */
void plugin_midi_realtime(NtAlgorithm *self, uint8_t byte);
void plugin_midi_message(NtAlgorithm *self, uint8_t status, uint8_t first, uint8_t second);
/* Tell the instrument what was turned and what MIDI asked for, as far as its queue takes it. */
bool plugin_tell_parameters(Plugin *plugin); /* whether it took all */
void plugin_tell_midi(Plugin *plugin);

/* display.c */
bool plugin_draw(NtAlgorithm *self);
int plugin_string(NtAlgorithm *self, int parameter, int value, char *text);

/* counters.c */
void plugin_count(PluginCounters *counters, uint32_t began, uint32_t spent, uint32_t frames);
void plugin_send_counters(const Plugin *plugin);
void plugin_draw_counters(const PluginCounters *counters);

#endif
