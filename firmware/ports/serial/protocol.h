/* The serial protocol: one JSON object a line, asked by the computer, answered by the module.
 *
 * The same source runs on the Daisy (USB), in the Pi program (a socket) and in the simulated board (a pty).
 * hardware/README.md has the table of requests. Everything here runs in the main loop, outside the audio
 * callback, and reaches the instrument only through engine/port.h.
 */
#ifndef VAECTROL_PORTS_SERIAL_PROTOCOL_H
#define VAECTROL_PORTS_SERIAL_PROTOCOL_H

#include "../../engine/port.h"
#include "json.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PROTOCOL_NUMBER 1u
#define PROTOCOL_LINE_BYTES 1024u  /* the longest request; a longer line is dropped whole */
#define PROTOCOL_REPLY_BYTES 6144u /* the longest answer, a report with every field at its widest */

/* How busy the audio callback is: fractions of a block's time. `late` counts blocks that came too late. */
typedef struct ProtocolLoad {
    float mean, worst;
    uint32_t late;
} ProtocolLoad;

typedef enum ProtocolReboot { PROTOCOL_REBOOT_APP, PROTOCOL_REBOOT_BOOTLOADER, PROTOCOL_REBOOT_ROM } ProtocolReboot;

/* What the protocol needs from its port. Functions may be NULL where a port has no such thing, save `send`. */
typedef struct ProtocolPort {
    void *context;
    float true_rate_hz;
    const PortStorage *storage;
    const char *storage_note; /* why storage fails on this image, or NULL */
    /* Send one line, newline included, or none of it. */
    bool (*send)(void *context, const char *line, size_t length);
    void (*load)(void *context, ProtocolLoad *load);
    /* Mean converter code of each input over the blocks since the last call, 0 … 1; the number of blocks. */
    uint32_t (*codes)(void *context, float *codes);
    bool (*reboot)(void *context, ProtocolReboot target);
    void (*bench)(void *context, JsonWriter *w); /* adds the counted cycles as members */
} ProtocolPort;

typedef struct Protocol {
    const ProtocolPort *port;
    char line[PROTOCOL_LINE_BYTES];
    size_t length;
    bool overlong;
    uint32_t stream_ms, next_ms; /* 0: no stream */
    uint32_t dropped;            /* answers that did not fit into the sender */
    const char *last_note;       /* what the storage last complained of */
    char reply[PROTOCOL_REPLY_BYTES];
} Protocol;

void protocol_init(Protocol *p, const ProtocolPort *port);
/* Bytes as they arrive, in any pieces; each whole line is answered at once. */
void protocol_receive(Protocol *p, const char *bytes, size_t count);
/* From the main loop: lets the instrument write its storage and sends the stream. `now_ms` may wrap. */
void protocol_idle(Protocol *p, uint32_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
