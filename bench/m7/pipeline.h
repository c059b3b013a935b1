/* The Cortex-M7 issue model: one call per executed instruction, fed by unicorn's hooks.
 *
 * The rules, their sources and every constant stand in pipeline.py and decode.py; this file only applies them.
 * All times are core cycles. Layouts are mirrored by ctypes in pipeline.py.
 */
#ifndef VAECTROL_BENCH_PIPELINE_H
#define VAECTROL_BENCH_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

enum { REGISTERS = 52, ROLES = 20, PRODUCERS = 20, REGIONS = 12, LAYERS = 512, ADDRESSES = 34 };

/* What an instruction does to its neighbours (decode.py: Flag). */
enum {
    F_DSP = 1u << 0, /* bit-field or DSP unit: one a cycle, older slot only */
    F_MUL = 1u << 1, /* the multiplier */
    F_LOAD = 1u << 2,
    F_STORE = 1u << 3,
    F_SHIFT = 1u << 4,   /* inline shifted operand or shifted constant */
    F_EXTRACT = 1u << 5, /* bit-field work that takes the early shifter */
    F_EARLY_OLDER = 1u << 6,
    F_EARLY_ANY = 1u << 7,
    F_SIMPLE_SHIFT = 1u << 8,
    F_FP = 1u << 9,         /* float arithmetic: one a cycle */
    F_FMAC = 1u << 10,      /* VFMA, VMLA and their negatives */
    F_VMLA = 1u << 11,      /* with the intermediate rounding */
    F_AFTER_MAC = 1u << 12, /* VADD, VLDM, VMOV #imm …: not in the 3 cycles after a float MAC */
    F_FMOVE = 1u << 13,     /* VLDR, VSTR, VMOV: not younger in the 3 cycles after a float MAC */
    F_SINGLE = 1u << 14,    /* never pairs */
    F_BRANCH = 1u << 15,
    F_CONDITIONAL = 1u << 16,
    F_INDIRECT = 1u << 17,
    F_NARROW_ACCESS = 1u << 18, /* byte or half */
    F_LOCKS = 1u << 19,         /* VDIV, VSQRT, SDIV: the pipeline waits, one integer instruction may ride along */
    F_REV = 1u << 20,
    F_PRELOAD = 1u << 21,
    F_MULTIPLE = 1u << 22, /* LDM, STM, LDRD … */
    F_SETS_FLAGS = 1u << 23,
    F_WIDE_MOVE = 1u << 24 /* two-register VMOV */
};

/* Why an instruction could not issue earlier (pipeline.py: Reason). */
enum {
    WHY_NONE,
    WHY_OPERAND,
    WHY_PAIR,
    WHY_BANK,
    WHY_FETCH,
    WHY_MISPREDICT,
    WHY_DCACHE,
    WHY_STORE_BUFFER,
    WHY_FLOAT,
    WHY_UNALIGNED,
    WHY_LONG
};

typedef struct {
    uint32_t flags;
    uint32_t first_operand;
    uint32_t address;
    uint8_t bytes;
    uint8_t reads;
    uint8_t writes;
    uint8_t cycles; /* issue cycles: 1, or more for LDM, VDIV … */
    uint8_t access_bytes;
    uint8_t pad;
    uint16_t preload_register; /* unicorn's number of a PLD's base: it makes no access that a hook would see */
    int32_t preload_offset;
} Instruction;

typedef struct {
    uint8_t reg;
    uint8_t role; /* reads: Role; writes: Producer */
} Operand;

typedef struct {
    uint32_t begin, end;
    uint32_t fill_cycles; /* 0: tightly coupled */
    uint32_t bus_cycles;  /* how long one line keeps the bus busy */
} Region;

typedef struct {
    uint64_t cycle;
    uint32_t index;
    uint8_t slot; /* 0 older, 1 younger */
    uint8_t why;
    uint8_t detail; /* the register waited for */
    uint8_t charged;
    uint32_t memory;
} Event;

typedef struct {
    uint64_t cycles, instructions, taken_branches, mispredicts, stalls[16];
    uint64_t layer_cycles[LAYERS];
    uint64_t layer_instructions[LAYERS];
    uint64_t read_bytes[LAYERS][REGIONS];
    uint64_t written_bytes[LAYERS][REGIONS];
    uint64_t line_fills[LAYERS][REGIONS];
    uint64_t instruction_fills[REGIONS];
    uint64_t write_backs[REGIONS];
    uint64_t unknown_instructions; /* executed where nothing was decoded */
    uint32_t lowest_stack;
    int32_t layer;
} Totals;

typedef struct Trace Trace;

Trace *trace_new(const Instruction *instructions, uint32_t count, const Operand *operands, uint32_t code_base,
                 uint32_t code_halfwords, const int32_t *index_of_halfword, const int16_t *mark_of_halfword,
                 const Region *regions, uint32_t region_count, const uint8_t *distance, uint32_t icache_bytes,
                 uint32_t dcache_bytes, int (*read_register)(void *, int, void *),
                 int (*write_register)(void *, int, const void *));
void trace_free(Trace *trace);
void trace_begin(Trace *trace, uint32_t stack_low, uint32_t stack_high);
void trace_end(Trace *trace);
const Totals *trace_totals(const Trace *trace);
const uint64_t *trace_cycles_at(const Trace *trace);
const uint64_t *trace_count_at(const Trace *trace);
void trace_clear(Trace *trace);
void trace_cold(Trace *trace);
void trace_record(Trace *trace, Event *events, uint64_t capacity);
uint64_t trace_recorded(const Trace *trace);
void trace_on_code(void *engine, uint64_t address, uint32_t size, void *user);
void trace_on_memory(void *engine, int type, uint64_t address, int size, int64_t value, void *user);

#endif
