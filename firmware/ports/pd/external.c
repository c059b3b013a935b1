/* The Pure Data port: an instrument as an object, [drum~]. Signals go in and out at its jacks; messages move it:
 *
 *     set latent/1 0.5      a parameter, 0 … 1, by its OSC address
 *     note 60 100           a key and its velocity, 0: let go
 *     cc 20 64              a controller
 *     trigger 1 0.8         a part is struck, as hard as 0 … 1
 *     gate fill 1           a gate function is held
 *     clock, reset          a pulse; the first step
 */
#include "pd_abi.h"

#include "../plugin/player.h"

#include <string.h>

/* VAECTROL_PD_SETUP and VAECTROL_PD_NAME come with the build: drum_tilde_setup, "drum~". */
#if defined(_WIN32)
__declspec(dllexport)
#else
__attribute__((visibility("default")))
#endif
void VAECTROL_PD_SETUP(void);

typedef struct External {
    PdObject object;
    PdFloat unused; /* what a main inlet holds when no signal is plugged in */
    Player *player;
    void *memory;
    PlayerSignals signals;
    int ticks;
} External;

static PdClass *class;

static size_t memory_bytes(void) { return player_bytes() + INSTANCE_ALIGNMENT; }

/* ---- messages ------------------------------------------------------------------------------------------------- */

static PdFloat number(int count, const PdAtom *atoms, int at, PdFloat otherwise) {
    return at < count && atoms[at].type == PD_FLOAT ? atoms[at].of.number : otherwise;
}

static const char *word(int count, const PdAtom *atoms, int at) {
    return at < count && atoms[at].type == PD_SYMBOL ? atoms[at].of.symbol->name : "";
}

static float within(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; /* NaN: 0 */ }

static uint8_t byte_of(PdFloat x) { return (uint8_t)(x > 0.0f ? (x < 127.0f ? x : 127.0f) : 0.0f); }

static void move_named(External *self, const char *group, const char *name, float position) {
    const size_t skipped = strlen(group);
    for (size_t i = 0; i < (size_t)plugin_tables.parameters + plugin_tables.gates; ++i) {
        const char *address = plugin_tables.control[i].address;
        if (strncmp(address, group, skipped) == 0 && strcmp(address + skipped, name) == 0) {
            player_move(self->player, i, within(position));
            return;
        }
    }
    pd_error(self, VAECTROL_PD_NAME ": there is no %s%s here.", group, name);
}

static void on_set(External *self, PdSymbol *name, int count, PdAtom *atoms) {
    (void)name;
    move_named(self, "", word(count, atoms, 0), number(count, atoms, 1, 0.0f));
}

static void on_gate(External *self, PdSymbol *name, int count, PdAtom *atoms) {
    (void)name;
    move_named(self, "gate/", word(count, atoms, 0), number(count, atoms, 1, 1.0f));
}

static void on_note(External *self, PdSymbol *name, int count, PdAtom *atoms) {
    (void)name;
    const uint8_t velocity = byte_of(number(count, atoms, 1, 100.0f));
    player_midi(self->player, (const uint8_t[3]){0x90, byte_of(number(count, atoms, 0, 60.0f)), velocity});
}

static void on_controller(External *self, PdSymbol *name, int count, PdAtom *atoms) {
    (void)name;
    const uint8_t value = byte_of(number(count, atoms, 1, 0.0f));
    player_midi(self->player, (const uint8_t[3]){0xb0, byte_of(number(count, atoms, 0, 0.0f)), value});
}

static void on_trigger(External *self, PdSymbol *name, int count, PdAtom *atoms) {
    (void)name;
    const float part = number(count, atoms, 0, 1.0f);
    if (!(part >= 1.0f && part <= 32.0f)) {
        pd_error(self, VAECTROL_PD_NAME ": a trigger names a part from 1 to 32.");
        return;
    }
    const PortCommand stroke = {PORT_TRIGGER, (uint8_t)(part - 1.0f), within(number(count, atoms, 1, 1.0f))};
    player_post(self->player, stroke);
}

static void on_clock(External *self) { player_post(self->player, (PortCommand){PORT_CLOCK, 0, 0.0f}); }

static void on_reset(External *self) { player_post(self->player, (PortCommand){PORT_RESET_STEP, 0, 0.0f}); }

/* ---- sound ------------------------------------------------------------------------------------------------------ */

static intptr_t *perform(intptr_t *words) {
    External *self = (External *)words[1];
    player_play(self->player, &self->signals, 0, (size_t)self->ticks);
    return words + 2;
}

static size_t audio_ins(void) { return plugin_tables.hears ? instrument_info()->audio_in : 0; }
static size_t audio_outs(void) { return plugin_tables.sounds ? instrument_info()->audio_out : 0; }

static void on_dsp(External *self, PdSignal **signals) {
    const size_t inlets = audio_ins() + plugin_tables.cvs_in + plugin_tables.gates_in;
    const size_t outlets = audio_outs() + plugin_tables.cvs_out + plugin_tables.gates_out;
    if (inlets + outlets == 0) {
        return;
    }
    self->ticks = signals[0]->ticks;
    PlayerSignals *to = &self->signals;
    for (size_t i = 0; i < inlets; ++i) {
        const float *samples = (*signals++)->samples;
        if (i < audio_ins()) {
            to->audio_in[i] = samples;
        } else if (i < audio_ins() + plugin_tables.cvs_in) {
            to->cv_in[i - audio_ins()] = samples;
        } else {
            to->gate_in[i - audio_ins() - plugin_tables.cvs_in] = samples;
        }
    }
    for (size_t i = 0; i < outlets; ++i) {
        float *samples = (*signals++)->samples;
        if (i < audio_outs()) {
            to->audio_out[i] = samples;
        } else if (i < audio_outs() + plugin_tables.cvs_out) {
            to->cv_out[i - audio_outs()] = samples;
        } else {
            to->gate_out[i - audio_outs() - plugin_tables.cvs_out] = samples;
        }
        memset(samples, 0, (size_t)self->ticks * sizeof(float));
    }
    const float rate_hz = instrument_info()->sample_rate_hz;
    if (sys_getsr() != rate_hz) {
        pd_error(self, VAECTROL_PD_NAME ": it plays at %g Hz, and Pd runs at %g Hz; start Pd with -r %g.",
                 (double)rate_hz, (double)sys_getsr(), (double)rate_hz);
        return;
    }
    dsp_add(perform, 1, self);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void *make(void) {
    External *self = (External *)(void *)pd_new(class);
    self->memory = getbytes(memory_bytes());
    const size_t off = INSTANCE_ALIGNMENT - (size_t)((uintptr_t)self->memory % INSTANCE_ALIGNMENT);
    self->player = player_make((uint8_t *)self->memory + off);
    const size_t inlets = audio_ins() + plugin_tables.cvs_in + plugin_tables.gates_in;
    for (size_t i = plugin_tables.hears; i < inlets; ++i) { /* the main inlet is there already */
        (void)inlet_new(&self->object, &self->object.is, gensym("signal"), gensym("signal"));
    }
    for (size_t i = 0; i < audio_outs() + plugin_tables.cvs_out + plugin_tables.gates_out; ++i) {
        (void)outlet_new(&self->object, gensym("signal"));
    }
    return self;
}

static void end(External *self) { freebytes(self->memory, memory_bytes()); }

void VAECTROL_PD_SETUP(void) {
    class = class_new(gensym(VAECTROL_PD_NAME), make, (PdMethod)end, sizeof(External), 0, PD_END);
    if (plugin_tables.hears) {
        class_domainsignalin(class, (int)offsetof(External, unused));
    }
    class_addmethod(class, (PdMethod)on_dsp, gensym("dsp"), PD_CALL, PD_END);
    class_addmethod(class, (PdMethod)on_set, gensym("set"), PD_ANYTHING, PD_END);
    class_addmethod(class, (PdMethod)on_gate, gensym("gate"), PD_ANYTHING, PD_END);
    class_addmethod(class, (PdMethod)on_note, gensym("note"), PD_ANYTHING, PD_END);
    class_addmethod(class, (PdMethod)on_controller, gensym("cc"), PD_ANYTHING, PD_END);
    class_addmethod(class, (PdMethod)on_trigger, gensym("trigger"), PD_ANYTHING, PD_END);
    class_addmethod(class, (PdMethod)on_clock, gensym("clock"), PD_END);
    class_addmethod(class, (PdMethod)on_reset, gensym("reset"), PD_END);
}
