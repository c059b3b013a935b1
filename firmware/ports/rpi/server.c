#define _GNU_SOURCE
#include "server.h"

#include "moment.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 4u

typedef struct Client {
    int socket; /* -1: free */
    ProtocolPort port;
    Protocol protocol;
} Client;

static struct {
    int listener;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    const ProtocolPort *port;
    Client client[CLIENTS];
    Protocol alone; /* without a client, so that storage is served, too */
} self;

static void leave(Client *c) {
    close(c->socket);
    c->socket = -1;
}

static bool send_line(void *context, const char *line, size_t length) {
    Client *c = context;
    /* A client that does not read must not hold up the others: its socket is full, its line is dropped whole. */
    const ssize_t sent = send(c->socket, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == (ssize_t)length) return true;
    if (sent >= 0) shutdown(c->socket, SHUT_RDWR); /* half a line cannot be taken back */
    return false;
}

static bool send_to_nobody(void *context, const char *line, size_t length) {
    (void)context;
    (void)line;
    (void)length;
    return true;
}

bool server_open(const char *path, const ProtocolPort *port) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(address.sun_path, path);
    strcpy(self.path, path);
    self.port = port;
    for (unsigned i = 0; i < CLIENTS; i++) self.client[i].socket = -1;
    static ProtocolPort nobody;
    nobody = *port;
    nobody.send = send_to_nobody;
    protocol_init(&self.alone, &nobody);
    self.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self.listener < 0) return false;
    unlink(path);
    return bind(self.listener, (const struct sockaddr *)&address, sizeof address) == 0 && chmod(path, 0660) == 0 &&
           listen(self.listener, 4) == 0;
}

static void welcome(void) {
    const int socket = accept4(self.listener, NULL, NULL, SOCK_CLOEXEC);
    if (socket < 0) return;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (self.client[i].socket < 0) {
            Client *c = &self.client[i];
            c->socket = socket;
            c->port = *self.port;
            c->port.send = send_line;
            c->port.context = c;
            protocol_init(&c->protocol, &c->port);
            return;
        }
    close(socket); /* four are enough */
}

void server_serve(int wait_ms) {
    struct pollfd waits[CLIENTS + 1];
    for (unsigned i = 0; i < CLIENTS; i++) waits[i] = (struct pollfd){.fd = self.client[i].socket, .events = POLLIN};
    waits[CLIENTS] = (struct pollfd){.fd = self.listener, .events = POLLIN};
    if (poll(waits, CLIENTS + 1, wait_ms) > 0) {
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (waits[i].revents == 0) continue;
            char bytes[2048];
            const ssize_t count = recv(self.client[i].socket, bytes, sizeof bytes, MSG_DONTWAIT);
            if (count > 0) protocol_receive(&self.client[i].protocol, bytes, (size_t)count);
            else if (count == 0 || errno != EAGAIN) leave(&self.client[i]);
        }
        if ((waits[CLIENTS].revents & POLLIN) != 0) welcome();
    }
    const uint32_t now_ms = (uint32_t)(moment_ns() / 1000000);
    protocol_idle(&self.alone, now_ms);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (self.client[i].socket >= 0) protocol_idle(&self.client[i].protocol, now_ms);
}

void server_close(void) {
    for (unsigned i = 0; i < CLIENTS; i++)
        if (self.client[i].socket >= 0) leave(&self.client[i]);
    if (self.listener > 0) close(self.listener);
    unlink(self.path);
}
