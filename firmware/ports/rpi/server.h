/* The serial protocol on a Unix socket: several programs may ask at once (monitor, control plane). Main thread. */
#ifndef VAECTROL_PORTS_RPI_SERVER_H
#define VAECTROL_PORTS_RPI_SERVER_H

#include "../serial/protocol.h"

/* `port` is copied per client; its `send` and `context` are the server's. false: errno says why. */
bool server_open(const char *path, const ProtocolPort *port);
/* Waits at most `wait_ms` for requests and answers them; lets storage and streams go on. */
void server_serve(int wait_ms);
void server_close(void);

#endif
