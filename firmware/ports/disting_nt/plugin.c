/* The factory: what an instance needs, how it is made in the memory the module gives, what a preset keeps of it.
 *
 * Nothing here or in the instrument is written to but an instance's own memory, so any number of them live side by
 * side, and one that is removed leaves nothing behind.
 */
#include "plugin.h"

#include "host.h"
#include "kernels/memory.h"
#include "plugin_tables.h"

/* The one specification: how much of an instance lies in fast memory. */
enum { SLOW = 0, STATE, STATE_AND_WEIGHTS };
static const NtSpecification specifications[] = {
    {.name = "Fast memory", .min = SLOW, .max = STATE_AND_WEIGHTS, .def = STATE_AND_WEIGHTS, .type = NT_TYPE_GENERIC},
};

enum { SRAM = 0, DRAM, DTC, REGIONS };

/* Hands out memory region by region; without addresses it only counts. */
typedef struct Arena {
    uint8_t *base[REGIONS];
    uint32_t used[REGIONS];
} Arena;

static void *take(Arena *arena, int region, size_t bytes) {
    const uint32_t at = arena->used[region];
    arena->used[region] += (uint32_t)((bytes + INSTANCE_ALIGNMENT - 1u) & ~(size_t)(INSTANCE_ALIGNMENT - 1u));
    return arena->base[region] == NULL ? NULL : arena->base[region] + at;
}

/* The module promises no alignment: what may be lost to it is asked for too. */
static uint32_t asked(const Arena *arena, int region) {
    return arena->used[region] == 0 ? 0u : arena->used[region] + INSTANCE_ALIGNMENT - 1u;
}

static uint8_t *aligned(uint8_t *base) {
    const uintptr_t lost = (0u - (uintptr_t)base) & (INSTANCE_ALIGNMENT - 1u);
    return base == NULL ? NULL : base + lost;
}

static int32_t level_of(const int32_t *specification) {
    return specification == NULL ? specifications[0].def : specification[0];
}

static uint32_t frames_of_a_piece(void) {
    const uint32_t most = nt_globals()->max_frames;
    return most == 0 || most > PORT_MAX_BLOCK ? PORT_MAX_BLOCK : most;
}

/* By the names of the board's regions (hardware/boards/disting_nt.toml). */
static int region_of(const char *name, int fast) {
    switch (name[0]) {
    case 'a': return SRAM;
    case 's': return DRAM;
    default: return fast;
    }
}

/* Everything an instance has, in one order for counting and for making. */
static Plugin *lay_out(Arena *arena, const int32_t *specification, void *memory[INSTANCE_PIECES]) {
    const int32_t level = level_of(specification);
    const int fast = level == SLOW ? SRAM : DTC;
    const InstanceNeeds *needs = instance_needs();
    for (size_t i = 0; i < needs->pieces; ++i) {
        const InstancePiece *piece = &needs->piece[i];
        const bool is_left = piece->is_copy && level < STATE_AND_WEIGHTS;
        memory[i] = is_left ? NULL : take(arena, region_of(piece->region, fast), piece->bytes);
    }
    const PortInfo *info = instrument_info();
    const size_t bytes = frames_of_a_piece() * sizeof(float);
    Plugin *plugin = take(arena, fast, sizeof *plugin);
    int16_t *told = take(arena, fast, plugin_spec.rows * sizeof *told);
    uint32_t *gates_in = take(arena, fast, bytes), *gates_out = take(arena, fast, bytes);
    float *audio_in = plugin_spec.hears ? take(arena, fast, info->audio_in * bytes) : NULL;
    float *audio_out = take(arena, fast, info->audio_out * bytes);
    float *cv_out = take(arena, fast, info->cv_outs * bytes);
    if (plugin == NULL) {
        return NULL;
    }
    *plugin = (Plugin){.told = told,
                       .changed = true,
                       .gates_in = gates_in,
                       .gates_out = gates_out,
                       .midi = {.last = -1, .running = true}};
    for (size_t c = 0; c < info->audio_in && audio_in != NULL; ++c) {
        plugin->audio_in[c] = audio_in + c * frames_of_a_piece();
    }
    for (size_t c = 0; c < info->audio_out; ++c) {
        plugin->audio_out[c] = audio_out + c * frames_of_a_piece();
    }
    for (size_t c = 0; c < info->cv_outs; ++c) {
        plugin->cv_out[c] = cv_out + c * frames_of_a_piece();
    }
    return plugin;
}

static void requirements(NtRequirements *needs, const int32_t *specification) {
    Arena arena = {0};
    void *memory[INSTANCE_PIECES];
    (void)lay_out(&arena, specification, memory);
    *needs = (NtRequirements){
        .parameters = plugin_spec.rows,
        .sram = asked(&arena, SRAM),
        .dram = asked(&arena, DRAM),
        .dtc = asked(&arena, DTC),
    };
}

static NtAlgorithm *construct(const NtMemory *memory, const NtRequirements *needs, const int32_t *specification) {
    (void)needs;
    Arena arena = {.base = {aligned(memory->sram), aligned(memory->dram), aligned(memory->dtc)}};
    void *piece[INSTANCE_PIECES];
    Plugin *plugin = lay_out(&arena, specification, piece);
    plugin->algorithm = (NtAlgorithm){.parameter = plugin_spec.parameter, .pages = plugin_spec.pages};
    plugin->most_frames = frames_of_a_piece();
    plugin->instance = instance_init(piece, (float)PLUGIN_RATE_HZ);
    for (uint8_t r = 0; r < plugin_spec.rows; ++r) {
        plugin->told[r] = plugin_spec.parameter[r].def;
    }
    return &plugin->algorithm;
}

static void parameter_changed(NtAlgorithm *self, int parameter) {
    ((Plugin *)self)->changed = true;
    if (plugin_spec.row[parameter].kind == ROW_SEND && self->value != NULL && self->value[parameter] != 0) {
        plugin_send_counters((const Plugin *)self);
    }
}

static void serialise(NtAlgorithm *self, NtJsonStream *stream) {
    (void)self;
    nt_json_name(stream, "vaectrol");
    nt_json_string(stream, plugin_spec.version);
    nt_json_name(stream, "model");
    nt_json_string(stream, plugin_spec.model_hash);
}

static bool same_text(const char *a, const char *b) {
    for (; *a != 0 && *a == *b; ++a, ++b) {
    }
    return *a == *b;
}

/* A preset of another model plays, and the display says so: its latents mean other sounds. */
static bool deserialise(NtAlgorithm *self, NtJsonParse *parse) {
    Plugin *plugin = (Plugin *)self;
    int members = 0;
    if (!nt_parse_members(parse, &members)) {
        return false;
    }
    for (int m = 0; m < members; ++m) {
        if (nt_parse_name(parse, "model")) {
            const char *hash = NULL;
            if (!nt_parse_string(parse, &hash)) {
                return false;
            }
            plugin->other_model = !same_text(hash, plugin_spec.model_hash);
        } else if (!nt_parse_skip(parse)) {
            return false;
        }
    }
    return true;
}

bool plugin_refuses_rate(void) { return nt_globals()->sample_rate_hz != PLUGIN_RATE_HZ; }

__attribute__((visibility("default"))) uintptr_t pluginEntry(uint32_t selector, uint32_t data);

uintptr_t pluginEntry(uint32_t selector, uint32_t data) {
    static const NtFactory factory = {
        .guid = PLUGIN_GUID,
        .name = PLUGIN_NAME,
        .description = PLUGIN_ABOUT,
        .specifications = 1,
        .specification = specifications,
        .requirements = requirements,
        .construct = construct,
        .parameter_changed = parameter_changed,
        .step = plugin_step,
        .draw = plugin_draw,
        .midi_realtime = plugin_midi_realtime,
        .midi_message = plugin_midi_message,
        .tags = PLUGIN_TAGS,
        .serialise = serialise,
        .deserialise = deserialise,
        .parameter_string = plugin_string,
    };
    switch (selector & 0xFFu) { /* the module's enumeration is one byte */
    case NT_SELECT_VERSION: return NT_API_VERSION;
    case NT_SELECT_FACTORIES: return 1;
    case NT_SELECT_FACTORY: return data == 0 ? (uintptr_t)&factory : 0;
    default: return 0;
    }
}
