/* Prints the checksums of latents_minute.c: latents_minute SECONDS, for the targets that have programs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void latents_minute(uint32_t seconds, uint32_t *sums);

int main(int count, char **words) {
    static uint32_t sums[600];
    const uint32_t seconds = count > 1 ? (uint32_t)atoi(words[1]) : 0u;
    if (seconds == 0 || seconds > 600) {
        return 2;
    }
    latents_minute(seconds, sums);
    for (uint32_t s = 0; s < seconds; ++s) {
        printf("%08x\n", sums[s]);
    }
    return 0;
}
