/* Everything between a port and an instrument: what a port provides, what an image offers.
 *
 * A port knows pins, converters, clocks and threads; it knows no sound. It fills one PortBlock per audio
 * callback and calls instrument_render. Whatever runs outside the callback (USB, OSC, buttons, flash) talks to
 * the instrument through instrument_post, instrument_report and instrument_idle, which take no lock.
 *
 * Inputs, gates, audio channels and CV outputs are numbered in the order of the board description
 * (hardware/boards/NAME.toml); the tables of an image are generated for one board.
 */
#ifndef VAECTROL_ENGINE_PORT_H
#define VAECTROL_ENGINE_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PORT_MAX_BLOCK 256u
#define PORT_MAX_INPUTS 24u /* knobs and CV jacks, one converter reading each */
#define PORT_MAX_GATES 32u  /* one bit each */
#define PORT_MAX_AUDIO 2u
#define PORT_MAX_CV_OUTS 16u
#define PORT_MAX_PARAMETERS 96u
#define PORT_MAX_POINTS 11u /* of one input's calibration */

/* One audio callback. All pointers are the port's; nothing is kept after instrument_render returns. */
typedef struct PortBlock {
    size_t ticks;                 /* samples in this block, 1 … PORT_MAX_BLOCK; any sequence of sizes */
    const float *inputs;          /* [inputs] converter code / full-scale code, 0 … 1, newest reading */
    const uint32_t *gates_in;     /* [ticks] bit g: gate g is high in that sample (gate_ring_take fills it) */
    const float *const *audio_in; /* [channels][ticks] ±1 = the board's full scale; NULL: silence */
    float *const *audio_out;      /* [channels][ticks] */
    float *const *cv_out;         /* [CV outs][ticks] volts; a slow DAC takes the last one */
    uint32_t *gates_out;          /* [ticks] bit g: gate output g */
} PortBlock;

/* What the image is made of; constant. The numbers are what the tables use, not what the board has. */
typedef struct PortParameter {
    const char *name; /* "latent/1", "attribute/density", "mix" … : its OSC address */
    int8_t knob, cv;  /* input numbers, -1: none */
} PortParameter;

typedef struct PortInfo {
    const char *title, *kind, *board, *version, *model_hash;
    float sample_rate_hz;
    uint16_t block;         /* the block it was scheduled for; others work */
    uint16_t latency_ticks; /* from control to sound, in samples, blocks not counted */
    uint8_t inputs, gates_in, gates_out, audio_in, audio_out, cv_outs, parameters, presets;
    const PortParameter *parameter; /* [parameters] */
} PortInfo;

/* Flash as the storage sees it. Addresses are relative to the area the port gives (PORT_STORAGE_BYTES, sector
 * aligned). erase sets a sector to 0xFF; program may only follow erase. Each returns false when it failed. */
#define PORT_SECTOR_BYTES 4096u
#define PORT_SETTINGS_BYTES (4u * PORT_SECTOR_BYTES) /* calibration ×2, presets ×2 */
#define PORT_TABLE_SECTORS 16u
#define PORT_TABLE_SLOTS 3u /* behind the settings: one more than an instrument has tables */
#define PORT_TABLES_BYTES (PORT_TABLE_SLOTS * PORT_TABLE_SECTORS * PORT_SECTOR_BYTES)
#define PORT_SEQUENCE_SECTORS 2u /* of a slot; two slots behind the tables */
#define PORT_SEQUENCES_BYTES (2u * PORT_SEQUENCE_SECTORS * PORT_SECTOR_BYTES)
#define PORT_MODEL_SLOTS 8u
#define PORT_MODEL_SECTORS 112u /* of a place; one more than there are slots, behind the choice among them */
#define PORT_MODELS_BYTES ((2u + (PORT_MODEL_SLOTS + 1u) * PORT_MODEL_SECTORS) * PORT_SECTOR_BYTES)
#define PORT_STORAGE_BYTES (PORT_SETTINGS_BYTES + PORT_TABLES_BYTES + PORT_SEQUENCES_BYTES + PORT_MODELS_BYTES)
typedef struct PortStorage {
    void *context;
    bool (*read)(void *context, uint32_t address, void *data, size_t bytes);
    bool (*erase)(void *context, uint32_t address); /* one sector */
    bool (*program)(void *context, uint32_t address, const void *data, size_t bytes);
} PortStorage;

/* From outside the callback. One thread posts; the callback takes them at its next block. */
enum {
    PORT_SET = 1,       /* parameter index takes value (0 … 1 of its travel) until its knob is moved */
    PORT_TRIGGER,       /* index: voice; value: accent 0 … 1 */
    PORT_CLOCK,         /* one clock pulse */
    PORT_RESET_STEP,    /* sequence back to its first step */
    PORT_GATE,          /* index: gate function of the instrument (freeze, fill, bypass, choke …); value > 0.5: held */
    PORT_PRESET_RECALL, /* index */
    PORT_PRESET_SAVE,   /* index; value: 0, or 1 + the model slot that it names; stored by instrument_idle */
    PORT_HOLD,          /* index: CV output that stays at value volts for ten seconds, to be measured */
    PORT_HOLD_RAW,      /* the same, whatever its calibration says */
    PORT_RELEASE        /* it does what the instrument says again */
};
typedef struct PortCommand {
    uint8_t kind, index;
    float value;
} PortCommand;

#define PORT_NO_MODEL 255u /* a slot's number where there is none */

/* What a monitor shows. Each field is written whole by the callback; a reader may see two neighbouring blocks. */
typedef struct PortReport {
    uint32_t blocks;                     /* rendered since init */
    float volts[PORT_MAX_INPUTS];        /* calibrated */
    float position[PORT_MAX_PARAMETERS]; /* conditioned, 0 … 1 */
    float value[PORT_MAX_PARAMETERS];    /* after the table: latent, attribute, gain … */
    uint32_t gates_in, gates_out;        /* levels at the end of the block */
    uint32_t triggers[PORT_MAX_GATES];   /* rising edges seen per gate input since init */
    uint8_t preset;                      /* last one recalled, 255: none */
    bool preset_unsaved;                 /* waits for instrument_idle */
    uint8_t preset_slot;                 /* model slot that the last one names, PORT_NO_MODEL: none */
    const char *preset_note;             /* why that model does not play; NULL: it does */
} PortReport;

/* A table of latents that was recorded, a hundred frames a second. */
#define PORT_TABLE_LATENTS 16u
#define PORT_TABLE_FRAMES 2000u
typedef struct PortTable {
    uint32_t hash;        /* of the model whose latents they are */
    uint32_t frames;      /* 0: empty, or being recorded */
    const int16_t *frame; /* [frames][PORT_TABLE_LATENTS] ±32767: the ends of each latent's quantile table */
} PortTable;

/* Models of one shape that a module holds beside the one that was built in (engine/slots/slots.h). */
#define PORT_SIGNATURE_BYTES 16u
typedef struct PortModels {
    const char *target; /* how the compiler of this image laid numbers out; NULL: this image takes none */
    uint32_t bytes;     /* of a model's numbers */
    uint32_t written;   /* of a model that is on its way */
    uint8_t playing;    /* slot; 0: the one that was built in */
    uint8_t signature[PORT_SIGNATURE_BYTES];
    uint8_t pair; /* slot of the one that it is blended with, by the parameter morph; PORT_NO_MODEL: none */
    bool blends;  /* this instrument has that parameter */
} PortModels;
typedef struct PortModel {
    uint32_t bytes, hash;
    bool fits; /* it has the shape of this image */
    char name[32], licence[28];
} PortModel;

/* The image: one instrument, generated tables, static memory. */
const PortInfo *instrument_info(void);
/* Before instrument_init: the model of the slot that was chosen takes its place. */
void instrument_load(const PortStorage *storage);
void instrument_init(float sample_rate_hz);     /* once, before the first callback */
void instrument_reset(void);                    /* silence, first step, models at zero; controls stay */
void instrument_render(const PortBlock *block); /* the audio callback */

/* Outside the callback, all from one thread. */
bool instrument_post(PortCommand command); /* false: sixteen are waiting already, try again */
void instrument_report(PortReport *report);
/* Points of one jack: an input, codes as in PortBlock.inputs; or PORT_OUTPUT + a CV output, codes the share of its
 * converter's range that really comes when volts are asked for. NULL when taken (and stored at the next idle), else
 * why not. */
#define PORT_OUTPUT PORT_MAX_INPUTS
const char *instrument_calibrate(uint8_t jack, uint8_t points, const float *codes, const float *volts);
uint8_t instrument_calibration(uint8_t jack, float *codes, float *volts); /* copies the points out, their count */
/* Loads at the first call (make it before audio starts), afterwards writes what changed; call it from the main loop.
 * NULL or one sentence. */
const char *instrument_idle(const PortStorage *storage);
bool instrument_table(uint8_t which, PortTable *table); /* false: it has none of this number */
/* Frames from `at` on, in order; at last none, with `at` frames in all: then it plays, and is stored at the next idles.
 * NULL when taken, else why not. */
const char *instrument_table_write(uint8_t which, uint32_t hash, uint32_t at, const int16_t *frame, uint32_t frames);
void instrument_models(PortModels *models);
bool instrument_model(const PortStorage *storage, uint8_t slot, PortModel *model); /* false: the slot is empty */
/* A slot file: its head, then its payload in order, then the end. NULL when done, else why not. */
const char *instrument_model_begin(const PortStorage *storage, uint8_t slot, const void *head, size_t bytes);
const char *instrument_model_data(const PortStorage *storage, uint32_t at, const uint8_t *data, size_t count);
const char *instrument_model_commit(const PortStorage *storage);
/* It plays within 20 ms, and after every power on; 0: the model that was built in. */
const char *instrument_model_use(const PortStorage *storage, uint8_t slot);
/* The playing model is blended with that of a slot, now and after every power on; PORT_NO_MODEL: with none. */
const char *instrument_model_morph(const PortStorage *storage, uint8_t slot);
const char *instrument_model_erase(const PortStorage *storage, uint8_t slot);

#ifdef __cplusplus
}
#endif
#endif
