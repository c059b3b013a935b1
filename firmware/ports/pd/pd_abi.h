/* The part of Pure Data's interface for externals that external.c speaks; the symbols are the program's own.
 *
 * Written from the published interface (m_pd.h, github.com/pure-data/pure-data, BSD licence), 32-bit floats;
 * tests/firmware/test_pd.py holds sizes and places to the real header where PD_DIR names a checkout.
 */
#ifndef VAECTROL_PORTS_PD_ABI_H
#define VAECTROL_PORTS_PD_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef float PdFloat;
typedef struct _class PdClass;
typedef struct _inlet PdInlet;
typedef struct _outlet PdOutlet;

typedef struct PdSymbol {
    const char *name;
    PdClass **thing;
    struct PdSymbol *next;
} PdSymbol;

typedef enum PdAtomType { PD_END = 0, PD_FLOAT = 1, PD_SYMBOL = 2, PD_ANYTHING = 10, PD_CALL = 11 } PdAtomType;

typedef struct PdAtom {
    PdAtomType type;
    union {
        PdFloat number;
        PdSymbol *symbol;
        void *other;
    } of;
} PdAtom;

/* What every object begins with. */
typedef struct PdObject {
    PdClass *is;
    void *next, *text;
    PdOutlet *outlets;
    PdInlet *inlets;
    short x, y, width;
    unsigned kind : 2;
} PdObject;

/* It goes on; this is its beginning. */
typedef struct PdSignal {
    int ticks;
    PdFloat *samples;
} PdSignal;

typedef void (*PdMethod)(void);
typedef void *(*PdMaker)(void);
typedef intptr_t *(*PdPerform)(intptr_t *words);

PdSymbol *gensym(const char *name);
PdClass *class_new(PdSymbol *name, PdMaker make, PdMethod end, size_t bytes, int flags, PdAtomType argument, ...);
void class_addmethod(PdClass *class, PdMethod method, PdSymbol *name, PdAtomType argument, ...);
void class_domainsignalin(PdClass *class, int place);
PdClass **pd_new(PdClass *class);
PdInlet *inlet_new(PdObject *object, PdClass **to, PdSymbol *from_type, PdSymbol *to_type);
PdOutlet *outlet_new(PdObject *object, PdSymbol *type);
void dsp_add(PdPerform perform, int words, ...);
PdFloat sys_getsr(void);
void *getbytes(size_t bytes);
void freebytes(void *memory, size_t bytes);
void pd_error(const void *object, const char *format, ...);

#endif
