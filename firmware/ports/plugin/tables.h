/* What a plugin knows of its instrument beside port.h: names for people, and what MIDI does. tables.py writes them. */
#ifndef VAECTROL_PORTS_PLUGIN_TABLES_H
#define VAECTROL_PORTS_PLUGIN_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A parameter of the instrument, or behind them a gate function: 0 or 1. */
typedef struct PluginControl {
    uint32_t id;         /* of its address, so that a song finds it again */
    const char *address; /* "latent/1", "gate/fill" */
    const char *name, *group, *words;
    float rest;               /* position 0 … 1 */
    const float *table;       /* [points] values along its travel; NULL: a gate function */
    const char *const *label; /* [labels] names along its travel */
    uint16_t points, labels;
} PluginControl;

/* A CV jack: its number among the inputs, and what its converter makes of volts. */
typedef struct PluginCv {
    const char *name;
    uint8_t number;
    bool inverted;
    float low_volts, span_volts;
} PluginCv;

/* A gate jack or an output: its number on the board. */
typedef struct PluginJack {
    const char *name;
    uint8_t number;
} PluginJack;

/* What keys do, as firmware/midi/player.py has it; -1: nothing. */
typedef struct PluginMove {
    uint8_t parameter;
    float position;
} PluginMove;
typedef struct PluginKey {
    uint8_t low, high;
    int8_t strikes, gate; /* part; gate function */
    int16_t middle;       /* key of 0 V */
    double low_volts, high_volts;
    const uint8_t *velocity, *pitch; /* [velocities], [pitches] parameters */
    const PluginMove *set;           /* [sets] */
    uint8_t velocities, pitches, sets;
    uint8_t lane, lanes; /* its place among entries side by side, of which a key takes one; how many those are */
} PluginKey;
#define PLUGIN_KEYS 64u /* entries, at most */

typedef struct PluginController {
    uint8_t cc, parameters;
    const uint8_t *parameter;
    double low, high; /* positions at 0 and 127 */
} PluginController;

/* A gate output whose pulses are notes, and the CV output that says how loud; -1: none does. */
typedef struct PluginNote {
    uint8_t gate, key;
    int8_t cv;
} PluginNote;

typedef struct PluginTables {
    const char *id, *name, *version, *words;
    const char *const *features; /* ends with NULL */
    bool hears, sounds;          /* whether audio goes in, and comes out */
    uint8_t parameters, gates;   /* controls: so many of each */
    uint8_t cvs_in, gates_in, cvs_out, gates_out, keys, controllers, notes;
    int8_t channel;       /* that MIDI is heard on, from 0; -1: all */
    uint8_t clock;        /* so many of 24 pulses a quarter note are one of the instrument's; 0: it has no clock */
    bool start;           /* whether a start is the first step */
    const float *reading; /* [inputs] of all converters, nothing patched and nothing turned */
    const PluginControl *control;
    const PluginCv *cv_in;
    const PluginJack *gate_in, *cv_out, *gate_out; /* those that do or carry something */
    const PluginKey *key;
    const PluginController *controller;
    const PluginNote *note;
} PluginTables;

extern const PluginTables plugin_tables;

#endif
