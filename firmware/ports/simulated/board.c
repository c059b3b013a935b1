#include "board.h"

#include "../serial/protocol.h"

#include <string.h>

#define OUTBOX_BYTES 65536u

static struct {
    uint8_t *flash;
    int32_t bytes_until_cut;
    bool power_gone;
    int reboot;
    ProtocolLoad load;
    float code_sum[PORT_MAX_INPUTS], code_last[PORT_MAX_INPUTS];
    uint32_t code_blocks;
    char outbox[OUTBOX_BYTES];
    size_t waiting;
    float audio[PORT_MAX_AUDIO][PORT_MAX_BLOCK], cv[PORT_MAX_CV_OUTS][PORT_MAX_BLOCK];
    uint32_t gates_out[PORT_MAX_BLOCK];
    Protocol protocol;
} board;

/* ---- flash: bits only fall when programmed, rise when erased, and the power may go between two bytes ---- */

static bool powered(void) {
    if (board.power_gone) return false;
    if (board.bytes_until_cut == 0) board.power_gone = true;
    else if (board.bytes_until_cut > 0) board.bytes_until_cut--;
    return !board.power_gone;
}

static bool flash_read(void *context, uint32_t address, void *data, size_t bytes) {
    (void)context;
    if (board.power_gone || address > PORT_STORAGE_BYTES || bytes > PORT_STORAGE_BYTES - address) return false;
    memcpy(data, board.flash + address, bytes);
    return true;
}

static bool flash_erase(void *context, uint32_t address) {
    (void)context;
    if (address % PORT_SECTOR_BYTES != 0 || address >= PORT_STORAGE_BYTES) return false;
    for (uint32_t i = 0; i < PORT_SECTOR_BYTES; i++) {
        if (!powered()) return false;
        board.flash[address + i] = 0xFF;
    }
    return true;
}

static bool flash_program(void *context, uint32_t address, const void *data, size_t bytes) {
    (void)context;
    if (address > PORT_STORAGE_BYTES || bytes > PORT_STORAGE_BYTES - address) return false;
    for (size_t i = 0; i < bytes; i++) {
        if (!powered()) return false;
        board.flash[address + i] &= ((const uint8_t *)data)[i];
    }
    return true;
}

static const PortStorage storage = {NULL, flash_read, flash_erase, flash_program};

/* ---- what the protocol asks of its port ---- */

static bool port_send(void *context, const char *line, size_t length) {
    (void)context;
    if (OUTBOX_BYTES - board.waiting < length) return false;
    memcpy(board.outbox + board.waiting, line, length);
    board.waiting += length;
    return true;
}

static void port_load(void *context, ProtocolLoad *load) {
    (void)context;
    *load = board.load;
}

static uint32_t port_codes(void *context, float *codes) {
    (void)context;
    const uint32_t blocks = board.code_blocks;
    for (size_t i = 0; i < PORT_MAX_INPUTS; i++) {
        codes[i] = blocks > 0 ? board.code_sum[i] / (float)blocks : board.code_last[i];
        board.code_sum[i] = 0.0f;
    }
    board.code_blocks = 0;
    return blocks;
}

static bool port_reboot(void *context, ProtocolReboot target) {
    (void)context;
    board.reboot = (int)target;
    return true;
}

static BoardBench bench;

static void port_bench(void *context, JsonWriter *w) {
    (void)context;
    json_put_uint(w, "clock_hz", bench.clock_hz);
    json_put_uint(w, "budget", bench.budget);
    json_put_uint(w, "callbacks", bench.callbacks);
    json_put_float(w, "mean", bench.mean);
    json_put_uint(w, "p50", bench.p50);
    json_put_uint(w, "p99", bench.p99);
    json_put_uint(w, "worst", bench.worst);
    json_open(w, "outside", '[');
    json_put_float(w, NULL, bench.mean);
    json_put_uint(w, NULL, bench.worst);
    json_close(w, ']');
    json_open(w, "layers", '[');
    json_close(w, ']');
}

static ProtocolPort port = {
    .storage = &storage, .send = port_send, .load = port_load, .codes = port_codes, .reboot = port_reboot};

void board_start(float rate_hz, uint8_t *flash) {
    memset(&board, 0, sizeof board);
    board.flash = flash;
    board.bytes_until_cut = -1;
    board.reboot = -1;
    port.true_rate_hz = rate_hz;
    port.bench = NULL;
    instrument_load(&storage);
    instrument_init(rate_hz);
    protocol_init(&board.protocol, &port);
    (void)instrument_idle(&storage); /* loads what was saved */
}

void board_block(const float *inputs, const uint32_t *gates, size_t ticks) {
    static const float silence[PORT_MAX_BLOCK];
    const float *const audio_in[PORT_MAX_AUDIO] = {silence, silence};
    float *const audio_out[PORT_MAX_AUDIO] = {board.audio[0], board.audio[1]};
    float *cv_out[PORT_MAX_CV_OUTS];
    for (size_t i = 0; i < PORT_MAX_CV_OUTS; i++) cv_out[i] = board.cv[i];
    const size_t count = instrument_info()->inputs;
    for (size_t i = 0; i < count && i < PORT_MAX_INPUTS; i++) {
        board.code_sum[i] += inputs[i];
        board.code_last[i] = inputs[i];
    }
    board.code_blocks++;
    instrument_render(&(PortBlock){ticks, inputs, gates, audio_in, audio_out, cv_out, board.gates_out});
}

void board_idle(uint32_t now_ms) { protocol_idle(&board.protocol, now_ms); }

void board_receive(const char *bytes, size_t count) { protocol_receive(&board.protocol, bytes, count); }

size_t board_take(char *out, size_t size) {
    const size_t taken = board.waiting < size ? board.waiting : size;
    memcpy(out, board.outbox, taken);
    memmove(board.outbox, board.outbox + taken, board.waiting - taken);
    board.waiting -= taken;
    return taken;
}

void board_set_load(float mean, float worst, uint32_t late) {
    board.load = (ProtocolLoad){.mean = mean, .worst = worst, .late = late};
}

void board_set_bench(const BoardBench *counted) {
    bench = *counted;
    port.bench = port_bench;
}

int board_reboot_asked(void) { return board.reboot; }

void board_cut_power_after(int32_t bytes) {
    board.bytes_until_cut = bytes;
    board.power_gone = false;
}

bool board_power_gone(void) { return board.power_gone; }

const float *board_audio(size_t channel) { return board.audio[channel % PORT_MAX_AUDIO]; }

const float *board_cv_out(size_t output) { return board.cv[output % PORT_MAX_CV_OUTS]; }

const uint32_t *board_gates_out(void) { return board.gates_out; }
