/* The Cortex-M7 issue model. Rules and sources: pipeline.py, decode.py. */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "cache.h"

enum {
    MISPREDICT_CYCLES = 8, /* jnk0le: 8, or 6 when the flags are 3 cycles old */
    MISPREDICT_EARLY_CYCLES = 6,
    FLAGS_EARLY_CYCLES = 3,
    DECODE_REDIRECT_CYCLES = 3, /* assumed: a direct branch that the BTAC has not seen is resolved in decode */
    BTAC_ENTRIES = 64,
    FETCH_BYTES = 8,         /* TRM 1.2: 64-bit fetch … */
    FETCH_QUEUE = 4,         /* … and a queue of 4 × 64 bits */
    STORE_BUFFER = 2,        /* waiting stores; with the two being drained, jnk0le's throughputs (pipeline.py) */
    NARROW_STORE_CYCLES = 4, /* jnk0le: byte, half and unaligned stores drain in 4 cycles a bank */
    MAC_SHADOW_CYCLES = 3,   /* jnk0le: "cannot be executed for 3 next cycles" */
    UNALIGNED_OLDER_CYCLES = 3,
    UNALIGNED_YOUNGER_CYCLES = 4,
    CREDIT_BYTES = 4, /* jnk0le: LDM and LDRD want two narrow opcodes before, else one stall */
    FLAGS_REGISTER = 48
};

typedef struct {
    uint32_t branch, target;
    uint8_t counter;
    bool valid;
} Prediction;

struct Trace {
    const Instruction *instructions;
    const Operand *operands;
    const int32_t *index_of;
    const int16_t *mark_of;
    uint32_t count, code_base, code_halfwords;
    int (*read_register)(void *engine, int number, void *value);
    int (*write_register)(void *engine, int number, const void *value);
    Region regions[REGIONS];
    uint32_t region_count;
    uint8_t distance[PRODUCERS][ROLES];
    Cache icache, dcache;
    Totals totals;
    uint64_t *cycles_at, *count_at;
    Event *events;
    uint64_t event_capacity, event_count;

    /* the instruction that unicorn is executing: its addresses still arrive */
    int32_t pending;
    uint32_t pending_address;
    uint32_t addresses[ADDRESSES];
    uint8_t address_bytes[ADDRESSES];
    uint32_t address_count;

    /* the machine */
    uint64_t now; /* the cycle of the open issue group */
    bool older_issued;
    uint32_t older_flags;
    int32_t older_bank; /* −1: no load */
    uint64_t finished;  /* first cycle after everything issued so far */
    uint64_t issued_at[REGISTERS];
    uint8_t producer[REGISTERS];
    uint64_t locked_until;
    uint64_t mac_at;     /* last float MAC, cycle + 1; 0: none */
    uint64_t mac_before; /* the one before it */
    uint64_t vmla_at;
    uint64_t bus_free;
    uint64_t filling[2]; /* when the last two fills are done: there are two line-fill buffers */
    uint64_t store_done[STORE_BUFFER];
    uint64_t bank_free[2];
    uint32_t credit;
    uint32_t stack_low, stack_high;

    /* fetch */
    uint64_t fetch_at, restart_at;
    uint64_t chunk_issued[FETCH_QUEUE];
    uint32_t chunk_count;
    uint32_t chunk; /* address / 8 of the chunk at hand; UINT32_MAX: none */
    uint32_t fetch_line;
    Prediction btac[BTAC_ENTRIES];
};

Trace *trace_new(const Instruction *instructions, uint32_t count, const Operand *operands, uint32_t code_base,
                 uint32_t code_halfwords, const int32_t *index_of_halfword, const int16_t *mark_of_halfword,
                 const Region *regions, uint32_t region_count, const uint8_t *distance, uint32_t icache_bytes,
                 uint32_t dcache_bytes, int (*read_register)(void *, int, void *),
                 int (*write_register)(void *, int, const void *)) {
    Trace *t = calloc(1, sizeof *t);
    if (t == NULL || region_count > REGIONS) {
        free(t);
        return NULL;
    }
    t->instructions = instructions;
    t->count = count;
    t->operands = operands;
    t->code_base = code_base;
    t->code_halfwords = code_halfwords;
    t->index_of = index_of_halfword;
    t->mark_of = mark_of_halfword;
    memcpy(t->regions, regions, region_count * sizeof *regions);
    t->region_count = region_count;
    t->read_register = read_register;
    t->write_register = write_register;
    memcpy(t->distance, distance, sizeof t->distance);
    cache_init(&t->icache, icache_bytes, 2);
    cache_init(&t->dcache, dcache_bytes, 4);
    t->cycles_at = calloc(count + 1, sizeof *t->cycles_at);
    t->count_at = calloc(count + 1, sizeof *t->count_at);
    t->pending = -1;
    t->chunk = UINT32_MAX;
    t->fetch_line = UINT32_MAX;
    t->older_bank = -1;
    t->totals.lowest_stack = UINT32_MAX;
    if (t->cycles_at == NULL || t->count_at == NULL) {
        trace_free(t);
        return NULL;
    }
    return t;
}

void trace_free(Trace *t) {
    if (t == NULL) return;
    free(t->cycles_at);
    free(t->count_at);
    free(t);
}

static uint32_t region_of(const Trace *t, uint32_t address) {
    for (uint32_t r = 0; r < t->region_count; r++)
        if (address >= t->regions[r].begin && address < t->regions[r].end) return r;
    return REGIONS - 1;
}

/* A line is wanted at `at`; returns when it arrives. The bus carries one line at a time. */
static uint64_t line_wanted(Trace *t, Cache *cache, uint32_t address, bool write, uint64_t at, bool *missed) {
    const uint32_t r = region_of(t, address);
    *missed = false;
    if (t->regions[r].fill_cycles == 0) return at;
    const Lookup found = cache_touch(cache, address, write);
    if (!found.hit) {
        uint64_t start = at > t->bus_free ? at : t->bus_free;
        if (t->filling[0] > start) start = t->filling[0];
        *missed = true;
        *found.ready = start + t->regions[r].fill_cycles;
        t->filling[0] = t->filling[1];
        t->filling[1] = *found.ready;
        t->bus_free = start + t->regions[r].bus_cycles;
        if (found.evicts_dirty) {
            const uint32_t home = region_of(t, found.evicted * LINE_BYTES);
            t->bus_free += t->regions[home].bus_cycles;
            t->totals.write_backs[home]++;
        }
    }
    return *found.ready > at ? *found.ready : at;
}

/* The earliest cycle at which the front end can deliver the instruction. */
static uint64_t fetched_at(Trace *t, const Instruction *in) {
    const uint32_t last = (in->address + in->bytes - 1u) / FETCH_BYTES;
    for (uint32_t chunk = in->address / FETCH_BYTES; chunk <= last; chunk++) {
        if (chunk == t->chunk) continue;
        const uint32_t slot = t->chunk_count % FETCH_QUEUE;
        uint64_t at = t->fetch_at + 1;
        if (t->chunk_count >= FETCH_QUEUE && t->chunk_issued[slot] > at) at = t->chunk_issued[slot];
        if (t->restart_at > at) at = t->restart_at;
        const uint32_t line = chunk * FETCH_BYTES / LINE_BYTES;
        if (line != t->fetch_line) {
            bool missed;
            at = line_wanted(t, &t->icache, chunk * FETCH_BYTES, false, at, &missed);
            if (missed) t->totals.instruction_fills[region_of(t, chunk * FETCH_BYTES)]++;
            t->fetch_line = line;
        }
        t->fetch_at = at;
        t->chunk = chunk;
        t->chunk_count++;
    }
    return t->fetch_at;
}

/* May `younger` issue beside the older instruction of the open group? */
static bool pairs(const Trace *t, const Instruction *younger, int32_t bank, uint8_t *why) {
    const uint32_t a = t->older_flags, b = younger->flags;
    *why = WHY_PAIR;
    if ((a | b) & (F_SINGLE | F_WIDE_MOVE)) return false;
    if (a & b & (F_MUL | F_FP | F_STORE)) return false;
    if (b & F_DSP) return false; /* older slot only */
    if ((a & F_MUL && b & F_STORE) || (a & F_STORE && b & F_MUL)) return false;
    if (a & (F_SHIFT | F_EXTRACT | F_SIMPLE_SHIFT) && b & F_SHIFT) return false;
    if (a & F_SHIFT && b & F_EXTRACT) return false;
    if (a & F_LOCKS && b & (F_FP | F_FMOVE | F_LOCKS)) return false;
    if (b & F_LOCKS && a & (F_FP | F_FMOVE)) return false;
    if (((a & F_FMAC) && (b & F_FMOVE)) || (b & (F_FMAC | F_FMOVE) && t->mac_at != 0)) {
        /* the first of a run of float MACs still pairs with a VLDR, the next ones do not */
        const uint64_t mac = t->mac_at == t->now + 1 ? t->mac_before : t->mac_at;
        const bool shadow = mac != 0 && t->now + 1 <= mac + MAC_SHADOW_CYCLES;
        if (shadow && (b & F_FMOVE || a & F_FMOVE)) {
            *why = WHY_FLOAT;
            return false;
        }
    }
    if (a & F_LOAD && b & F_LOAD && t->older_bank >= 0 && bank >= 0 && t->older_bank == bank) {
        *why = WHY_BANK;
        return false;
    }
    return true;
}

static uint64_t operands_ready(const Trace *t, const Instruction *in, bool early, uint8_t early_role, uint8_t late_role,
                               uint8_t *waited_for) {
    uint64_t ready = 0;
    for (uint32_t k = 0; k < in->reads; k++) {
        const Operand operand = t->operands[in->first_operand + k];
        const uint8_t role = early && operand.role == late_role ? early_role : operand.role;
        const uint64_t at = t->issued_at[operand.reg] + t->distance[t->producer[operand.reg]][role];
        if (at > ready) {
            ready = at;
            *waited_for = operand.reg;
        }
    }
    return ready;
}

static void predict(Trace *t, const Instruction *in, uint32_t next, uint64_t at) {
    Prediction *p = &t->btac[(in->address >> 1) % BTAC_ENTRIES];
    const bool taken = next != in->address + in->bytes;
    const bool known = p->valid && p->branch == in->address;
    const bool says_taken = known && p->counter >= 2;
    const bool right = says_taken == taken && (!taken || p->target == next);
    if (taken) t->totals.taken_branches++;
    if (!right) {
        uint64_t cost = MISPREDICT_CYCLES;
        if (!known && !(in->flags & (F_CONDITIONAL | F_INDIRECT))) cost = DECODE_REDIRECT_CYCLES;
        else if (in->flags & F_CONDITIONAL && t->issued_at[FLAGS_REGISTER] + FLAGS_EARLY_CYCLES <= at)
            cost = MISPREDICT_EARLY_CYCLES;
        t->totals.mispredicts++;
        t->restart_at = at + 1 + cost;
        t->chunk = UINT32_MAX;
        t->chunk_count = 0;
    }
    if (!known) {
        if (!taken) return;
        *p = (Prediction){in->address, next, 2, true};
    }
    p->target = taken ? next : p->target;
    if (taken && p->counter < 3) p->counter++;
    if (!taken && p->counter > 0) p->counter--;
    if (taken) {
        t->chunk = UINT32_MAX;
        t->fetch_line = UINT32_MAX;
    }
}

/* Data-side costs of an instruction that issues at `at`: returns the cycle its data is there. */
static uint64_t memory_time(Trace *t, const Instruction *in, uint64_t at, uint8_t *why) {
    uint64_t ready = at;
    const int32_t layer = t->totals.layer;
    uint32_t seen = UINT32_MAX;
    for (uint32_t k = 0; k < t->address_count; k++) {
        const uint32_t address = t->addresses[k];
        const uint32_t bytes = t->address_bytes[k];
        const uint32_t r = region_of(t, address);
        const bool write = (in->flags & F_STORE) != 0;
        if (write) t->totals.written_bytes[layer][r] += bytes;
        else if (!(in->flags & F_PRELOAD)) t->totals.read_bytes[layer][r] += bytes;
        const uint32_t last = (address + bytes - 1u) / LINE_BYTES;
        const uint64_t asked = in->flags & F_MULTIPLE ? at + k / 2u : at; /* two words a cycle */
        uint64_t arrives = asked;
        for (uint32_t line = address / LINE_BYTES; line <= last; line++) {
            if (line == seen) continue;
            seen = line;
            bool missed;
            const uint64_t got = line_wanted(t, &t->dcache, line * LINE_BYTES, write, asked, &missed);
            if (missed) t->totals.line_fills[layer][r]++;
            if (got > arrives) arrives = got;
        }
        if (write) {
            const bool partial = in->access_bytes < 4 || (address & 3u) != 0;
            const uint32_t bank = (address >> 2) & 1u;
            uint32_t oldest = 0;
            for (uint32_t e = 1; e < STORE_BUFFER; e++)
                if (t->store_done[e] < t->store_done[oldest]) oldest = e;
            uint64_t accepted = asked + (ready - at);
            if (t->store_done[oldest] > accepted) {
                ready += t->store_done[oldest] - accepted;
                accepted = t->store_done[oldest];
                *why = WHY_STORE_BUFFER;
            }
            uint64_t start = arrives > accepted ? arrives : accepted;
            if (t->bank_free[bank] > start) start = t->bank_free[bank];
            t->bank_free[bank] = start + (partial ? NARROW_STORE_CYCLES : 1);
            t->store_done[oldest] = start + (partial ? 2 : 1);
        } else if (!(in->flags & F_PRELOAD) && arrives - asked > ready - at) {
            ready = at + (arrives - asked);
            *why = WHY_DCACHE;
        }
    }
    return ready;
}

static bool unaligned(const Trace *t, const Instruction *in) {
    if (t->address_count == 0 || in->access_bytes < 2 || in->flags & F_PRELOAD) return false;
    const uint32_t natural = in->access_bytes >= 4 ? 4u : 2u;
    return (t->addresses[0] & (natural - 1u)) != 0;
}

static void issue(Trace *t, uint32_t index, uint32_t next) {
    enum { ROLE_EARLY = 1, ROLE_LATE = 2, PRODUCER_EARLY = 1, PRODUCER_LATE = 3 };
    const Instruction *in = &t->instructions[index];
    const uint32_t flags = in->flags;
    uint8_t why = WHY_NONE, waited_for = 0, pair_why = WHY_NONE;
    const int32_t bank = flags & F_LOAD && t->address_count > 0 ? (int32_t)((t->addresses[0] >> 2) & 1u) : -1;

    uint64_t at = t->now;
    const uint64_t fetched = fetched_at(t, in);
    if (fetched > at) {
        at = fetched;
        why = fetched <= t->restart_at + 1 ? WHY_MISPREDICT : WHY_FETCH;
    }
    const uint64_t ready = operands_ready(t, in, false, ROLE_EARLY, ROLE_LATE, &waited_for);
    if (ready > at) {
        at = ready;
        why = WHY_OPERAND;
    }
    if (t->locked_until > at && !(t->older_issued && t->older_flags & F_LOCKS && t->now == at && !(flags & F_FP))) {
        at = t->locked_until;
        why = WHY_LONG;
    }
    if (t->mac_at != 0) {
        uint64_t free = 0;
        if (flags & F_AFTER_MAC) free = t->mac_at + MAC_SHADOW_CYCLES;
        if (flags & F_FMAC && !(flags & F_VMLA) && t->vmla_at != 0 && t->vmla_at + 1 > free) free = t->vmla_at + 1;
        if (free > at) {
            at = free;
            why = WHY_FLOAT;
        }
    }
    if (flags & F_MULTIPLE) {
        if (t->credit < CREDIT_BYTES) {
            if (t->older_issued && at == t->now) at++;
            at++;
            if (why == WHY_NONE) why = WHY_FETCH;
        } else {
            t->credit -= CREDIT_BYTES;
        }
    }

    bool younger = t->older_issued && at == t->now;
    if (younger && !pairs(t, in, bank, &pair_why)) {
        younger = false;
        why = pair_why;
        at = t->now + 1;
        if (t->locked_until > at) at = t->locked_until;
    }

    /* early or late ALU */
    bool early = false;
    if (flags & (F_EARLY_ANY | F_EARLY_OLDER) && (flags & F_EARLY_ANY || !younger)) {
        const bool shifter_taken = younger && flags & F_SIMPLE_SHIFT && t->older_flags & (F_SHIFT | F_EXTRACT);
        uint8_t ignored;
        early = !shifter_taken && operands_ready(t, in, true, ROLE_EARLY, ROLE_LATE, &ignored) <= at;
    }

    const uint64_t data = memory_time(t, in, at, &why);
    uint64_t stall = data - at;
    if (stall == 0 && unaligned(t, in) && flags & F_LOAD) {
        stall = younger ? UNALIGNED_YOUNGER_CYCLES : UNALIGNED_OLDER_CYCLES;
        why = WHY_UNALIGNED;
    }
    at += stall; /* in order: everything behind waits too */
    if (stall > 0 && younger) younger = t->now == at;

    const uint64_t last = at + in->cycles - 1u;
    for (uint32_t k = 0; k < in->writes; k++) {
        const Operand operand = t->operands[in->first_operand + in->reads + k];
        uint8_t producer = operand.role;
        if (producer == PRODUCER_LATE && early) producer = PRODUCER_EARLY;
        t->issued_at[operand.reg] = flags & F_LOCKS ? at : last;
        t->producer[operand.reg] = producer;
    }
    if (flags & F_FMAC) {
        t->mac_before = t->mac_at;
        t->mac_at = at + 1;
        if (flags & F_VMLA) t->vmla_at = at + 1;
    }
    t->credit = in->bytes == 2 ? (t->credit + 2u > 8u ? 8u : t->credit + 2u) : t->credit;
    t->chunk_issued[(t->chunk_count + FETCH_QUEUE - 1u) % FETCH_QUEUE] = at;

    const uint64_t end = (flags & F_LOCKS ? at : last) + 1u;
    const uint64_t charged = end > t->finished ? end - t->finished : 0;
    if (end > t->finished) t->finished = end;
    t->cycles_at[index] += charged;
    t->count_at[index]++;
    t->totals.instructions++;
    t->totals.layer_cycles[t->totals.layer] += charged;
    t->totals.layer_instructions[t->totals.layer]++;
    if (charged > 1 || (charged == 1 && why != WHY_NONE)) t->totals.stalls[why] += charged > 1 ? charged - 1u : 0u;
    if (t->event_count < t->event_capacity) {
        Event *event = &t->events[t->event_count++];
        event->cycle = at;
        event->index = index;
        event->slot = younger ? 1 : 0;
        event->why = why;
        event->detail = waited_for;
        event->charged = charged > 255 ? 255 : (uint8_t)charged;
        event->memory = t->address_count > 0 ? t->addresses[0] : 0;
    }

    if (flags & F_LOCKS) t->locked_until = at + in->cycles;
    const bool taken = flags & F_BRANCH && next != in->address + in->bytes;
    if (younger || flags & F_SINGLE || taken) {
        t->now = last + 1u;
        t->older_issued = false;
    } else {
        t->now = at;
        t->older_issued = true;
        t->older_flags = flags;
        t->older_bank = bank;
    }
    if (flags & F_BRANCH) predict(t, in, next, at);
}

static void retire(Trace *t, uint32_t next) {
    if (t->pending < 0) return;
    const uint32_t index = (uint32_t)t->pending;
    t->pending = -1;
    issue(t, index, next);
    t->totals.cycles = t->finished;
}

void trace_on_code(void *engine, uint64_t address, uint32_t size, void *user) {
    Trace *t = user;
    (void)size;
    retire(t, (uint32_t)address);
    t->address_count = 0;
    const uint64_t halfword = ((uint32_t)address - t->code_base) / 2u;
    t->pending = halfword < t->code_halfwords ? t->index_of[halfword] : -1;
    if (t->pending < 0) {
        t->totals.unknown_instructions++;
        return;
    }
    if (t->mark_of[halfword] >= 0) t->totals.layer = t->mark_of[halfword];
    const Instruction *in = &t->instructions[t->pending];
    if (in->flags & F_PRELOAD && in->preload_register != 0) {
        uint32_t base = 0;
        t->read_register(engine, in->preload_register, &base);
        t->addresses[0] = base + (uint32_t)in->preload_offset;
        t->address_bytes[0] = 1;
        t->address_count = 1;
    }
}

/* unicorn 2.1 stores the IT state before the memory hook of a conditional load or store and never takes it
 * back: the next translation block would begin as if inside the IT block. The running block does not read it. */
static void forget_condition(const Trace *t, void *engine) {
    enum { UC_ARM_REG_CPSR = 3, IT_STATE = 0x0600FC00 };
    uint32_t status = 0;
    t->read_register(engine, UC_ARM_REG_CPSR, &status);
    if ((status & IT_STATE) != 0) {
        status &= ~(uint32_t)IT_STATE;
        t->write_register(engine, UC_ARM_REG_CPSR, &status);
    }
}

void trace_on_memory(void *engine, int type, uint64_t address, int size, int64_t value, void *user) {
    Trace *t = user;
    enum { UC_MEM_WRITE = 17 };
    (void)value;
    forget_condition(t, engine);
    if (type == UC_MEM_WRITE && address >= t->stack_low && address < t->stack_high && address < t->totals.lowest_stack)
        t->totals.lowest_stack = (uint32_t)address;
    if (t->address_count < ADDRESSES) {
        t->addresses[t->address_count] = (uint32_t)address;
        t->address_bytes[t->address_count++] = (uint8_t)size;
    }
}

/* Start a call: the pipeline is empty, the caches keep what they hold. */
void trace_begin(Trace *t, uint32_t stack_low, uint32_t stack_high) {
    t->pending = -1;
    t->address_count = 0;
    t->now = t->finished;
    t->older_issued = false;
    t->stack_low = stack_low;
    t->stack_high = stack_high;
    t->chunk = UINT32_MAX;
    t->fetch_line = UINT32_MAX;
    t->chunk_count = 0;
    t->fetch_at = t->finished > 0 ? t->finished - 1 : 0;
    t->restart_at = 0;
    t->totals.layer = 0;
    t->credit = 0;
}

void trace_end(Trace *t) { retire(t, UINT32_MAX); }

const Totals *trace_totals(const Trace *t) { return &t->totals; }
const uint64_t *trace_cycles_at(const Trace *t) { return t->cycles_at; }
const uint64_t *trace_count_at(const Trace *t) { return t->count_at; }
uint64_t trace_recorded(const Trace *t) { return t->event_count; }

/* Counters to zero; time, caches and predictors go on. */
void trace_clear(Trace *t) {
    const uint64_t cycles = t->totals.cycles;
    memset(&t->totals, 0, sizeof t->totals);
    t->totals.cycles = cycles;
    t->totals.lowest_stack = UINT32_MAX;
    memset(t->cycles_at, 0, t->count * sizeof *t->cycles_at);
    memset(t->count_at, 0, t->count * sizeof *t->count_at);
}

/* Caches and predictor as after reset. */
void trace_cold(Trace *t) {
    cache_init(&t->icache, t->icache.sets * t->icache.ways * LINE_BYTES, t->icache.ways);
    cache_init(&t->dcache, t->dcache.sets * t->dcache.ways * LINE_BYTES, t->dcache.ways);
    memset(t->btac, 0, sizeof t->btac);
}

void trace_record(Trace *t, Event *events, uint64_t capacity) {
    t->events = events;
    t->event_capacity = capacity;
    t->event_count = 0;
}
