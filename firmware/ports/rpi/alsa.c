#include "alsa.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

Alsa alsa;

bool alsa_load(void) {
    void *library = dlopen("libasound.so.2", RTLD_NOW);
    if (library == NULL) return false;
    /* A function pointer copied as bytes: C has no cast from an object's address to a function's. */
#define ALSA_LOOK_UP(result, name, arguments)                                                                          \
    {                                                                                                                  \
        void *found = dlsym(library, #name);                                                                           \
        if (found == NULL) return false;                                                                               \
        memcpy(&alsa.name, &found, sizeof found);                                                                      \
    }
    ALSA_FUNCTIONS(ALSA_LOOK_UP)
#undef ALSA_LOOK_UP
    return true;
}
