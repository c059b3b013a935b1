/* What a plug-in of the disting NT and the module say to each other: layouts and numbers, version 13.
 *
 * Written from the behaviour of the published interface (expertsleepersltd/distingNT_API, MIT) and held to its header by
 * tests/firmware/disting_nt_layout.cpp, where DISTINGNT_API names a checkout. Types bear names of our own: only layouts
 * and the symbols of host.h are part of the interface. A C++ reference is a pointer here.
 */
#ifndef VAECTROL_DISTING_NT_ABI_H
#define VAECTROL_DISTING_NT_ABI_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NT_API_VERSION 13u

enum { NT_SELECT_VERSION = 0, NT_SELECT_FACTORIES, NT_SELECT_FACTORY };

enum { NT_INPUT_BUSES = 12, NT_OUTPUT_BUSES = 8, NT_LAST_BUS = 64 };

enum { NT_TEXT_TINY = 0, NT_TEXT_NORMAL, NT_TEXT_LARGE };
enum { NT_ALIGN_LEFT = 0, NT_ALIGN_CENTRE, NT_ALIGN_RIGHT };
enum { NT_SHAPE_POINT = 0, NT_SHAPE_LINE, NT_SHAPE_BOX, NT_SHAPE_RECTANGLE, NT_SHAPE_CIRCLE };

/* Where MIDI goes, as bits. */
enum { NT_TO_BREAKOUT = 1, NT_TO_SELECT_BUS = 2, NT_TO_USB = 4, NT_TO_INTERNAL = 8 };

enum {
    NT_UNIT_NONE = 0,
    NT_UNIT_ENUM = 1,
    NT_UNIT_PERCENT = 4,
    NT_UNIT_STRINGS = 16, /* the plug-in prints the value */
    NT_UNIT_CONFIRM = 17, /* the same, and the player confirms a change */
    NT_UNIT_AUDIO_INPUT = 100,
    NT_UNIT_CV_INPUT,
    NT_UNIT_AUDIO_OUTPUT,
    NT_UNIT_CV_OUTPUT,
    NT_UNIT_OUTPUT_MODE
};
enum { NT_SCALING_NONE = 0, NT_SCALING_10, NT_SCALING_100, NT_SCALING_1000 };

enum { NT_TYPE_GENERIC = 0, NT_TYPE_SECONDS, NT_TYPE_BOOLEAN };

enum { NT_TAG_INSTRUMENT = 1, NT_TAG_EFFECT = 2 };

enum { NT_STRING_BYTES = 64 }; /* least size of what parameter_string writes into */

typedef struct NtGlobals {
    uint32_t sample_rate_hz;
    uint32_t max_frames; /* of one step */
    float *work;         /* for use within a step */
    uint32_t work_bytes;
    uint32_t stream_bytes;
    uint32_t stream_buffer_bytes;
} NtGlobals;

typedef struct NtStaticRequirements {
    uint32_t dram;
} NtStaticRequirements;

typedef struct NtStaticMemory {
    uint8_t *dram;
} NtStaticMemory;

/* Bytes that an instance asks for; its addresses. */
typedef struct NtRequirements {
    uint32_t parameters;
    uint32_t sram, dram, dtc, itc;
} NtRequirements;

typedef struct NtMemory {
    uint8_t *sram, *dram, *dtc, *itc;
} NtMemory;

typedef struct NtParameter {
    const char *name;
    int16_t min, max, def;
    uint8_t unit, scaling;
    const char *const *names; /* of NT_UNIT_ENUM */
} NtParameter;

typedef struct NtPage {
    const char *name;
    uint8_t count;
    uint8_t group; /* pages of one group keep the place within the page; 0: by itself */
    uint8_t unused[2];
    const uint8_t *parameter; /* [count] */
} NtPage;

typedef struct NtPages {
    uint32_t count;
    const NtPage *page;
} NtPages;

/* What an instance begins with. */
typedef struct NtAlgorithm {
    const NtParameter *parameter;
    const NtPages *pages;
    const int16_t *all_values; /* the module's: its own common parameters come first */
    const int16_t *value;      /* the module's: from the plug-in's first parameter on */
} NtAlgorithm;

typedef struct NtSpecification {
    const char *name;
    int32_t min, max, def, type;
} NtSpecification;

typedef struct NtUi {
    float pots[3];
    uint16_t controls, last_buttons;
    int8_t encoders[2];
    uint8_t unused[2];
} NtUi;

typedef struct NtJsonStream NtJsonStream;
typedef struct NtJsonParse NtJsonParse;

typedef struct NtFactory {
    uint32_t guid; /* four characters, at least one capital */
    const char *name, *description;
    uint32_t specifications;
    const NtSpecification *specification;
    void (*static_requirements)(NtStaticRequirements *needs);
    void (*initialise)(NtStaticMemory *memory, const NtStaticRequirements *needs);
    void (*requirements)(NtRequirements *needs, const int32_t *specification);
    NtAlgorithm *(*construct)(const NtMemory *memory, const NtRequirements *needs, const int32_t *specification);
    void (*parameter_changed)(NtAlgorithm *self, int parameter);
    void (*step)(NtAlgorithm *self, float *buses, int frames_by_4);
    bool (*draw)(NtAlgorithm *self); /* true: no parameter line at the top */
    void (*midi_realtime)(NtAlgorithm *self, uint8_t byte);
    void (*midi_message)(NtAlgorithm *self, uint8_t status, uint8_t first, uint8_t second);
    uint32_t tags;
    uint32_t (*has_custom_ui)(NtAlgorithm *self);
    void (*custom_ui)(NtAlgorithm *self, const NtUi *ui);
    void (*setup_ui)(NtAlgorithm *self, float (*pots)[3]);
    void (*serialise)(NtAlgorithm *self, NtJsonStream *stream);
    bool (*deserialise)(NtAlgorithm *self, NtJsonParse *parse);
    void (*midi_sysex)(const uint8_t *message, uint32_t count);
    int (*parameter_prefix)(NtAlgorithm *self, int parameter, char *text);
    int (*parameter_string)(NtAlgorithm *self, int parameter, int value, char *text);
} NtFactory;

#ifdef __cplusplus
}
#endif
#endif
