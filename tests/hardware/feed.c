/* Feeds standard input to the simulated board in pieces of odd sizes: for the sanitizers. */
#include "../../firmware/ports/simulated/board.h"

#include <stdio.h>

int main(void) {
    static uint8_t flash[PORT_STORAGE_BYTES];
    static const uint32_t gates[48];
    static float codes[PORT_MAX_INPUTS];
    static char piece[257], out[1 << 16];
    size_t count, answers = 0, step = 0;
    board_start(48000.0f, flash);
    while ((count = fread(piece, 1, 1 + step++ % sizeof piece, stdin)) > 0) {
        board_receive(piece, count);
        if (step % 16 == 0) board_block(codes, gates, 48);
        board_idle((uint32_t)step);
        const size_t taken = board_take(out, sizeof out);
        for (size_t i = 0; i < taken; i++) answers += out[i] == '\n';
    }
    printf("%zu\n", answers);
    return 0;
}
