/* A board made of memory: the instrument and the serial protocol as a module has them, without the module.
 *
 * hardware/simulated.py loads this with an instrument as one shared library, moves the bytes between it and a
 * pty, and invents what the converters read. One board per process, as on the desk.
 */
#ifndef VAECTROL_PORTS_SIMULATED_BOARD_H
#define VAECTROL_PORTS_SIMULATED_BOARD_H

#include "../../engine/port.h"

/* Power on. `flash` (PORT_STORAGE_BYTES) is the caller's and outlives the board, as a real one does. */
void board_start(float rate_hz, uint8_t *flash);
/* One audio callback; inputs as codes 0 … 1, gates [ticks]. */
void board_block(const float *inputs, const uint32_t *gates, size_t ticks);
/* What the main loop does between callbacks. */
void board_idle(uint32_t now_ms);
/* Bytes from the computer, and the answers waiting for it. */
void board_receive(const char *bytes, size_t count);
size_t board_take(char *out, size_t size);
/* What the cycle counter would say: fractions of a block, and late blocks so far. */
void board_set_load(float mean, float worst, uint32_t late);
/* What a bench image would have counted, in cycles; layers stay unknown here. Without a call, `bench` is refused. */
typedef struct BoardBench {
    uint32_t clock_hz, budget, callbacks;
    float mean;
    uint32_t p50, p99, worst;
} BoardBench;
void board_set_bench(const BoardBench *bench);
/* 0 app, 1 bootloader, 2 rom once it was asked to restart, else -1. */
int board_reboot_asked(void);
/* The power goes after this many bytes erased or programmed; -1: never. true once it has gone. */
void board_cut_power_after(int32_t bytes);
bool board_power_gone(void);
/* Of the last block. */
const float *board_audio(size_t channel);
const float *board_cv_out(size_t output);
const uint32_t *board_gates_out(void);

#endif
