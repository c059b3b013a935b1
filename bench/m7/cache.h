/* A set-associative cache with LRU replacement, tags only. Sizes and policy: cache.py. */
#ifndef VAECTROL_BENCH_CACHE_H
#define VAECTROL_BENCH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

enum { LINE_BYTES = 32, MAX_SETS = 256, MAX_WAYS = 4 };

typedef struct {
    uint32_t sets, ways;
    uint64_t clock;
    uint32_t line[MAX_SETS][MAX_WAYS]; /* address / 32 */
    bool valid[MAX_SETS][MAX_WAYS];
    bool dirty[MAX_SETS][MAX_WAYS];
    uint64_t used[MAX_SETS][MAX_WAYS];
    uint64_t ready[MAX_SETS][MAX_WAYS]; /* the cycle a line on its way arrives */
} Cache;

typedef struct {
    bool hit;
    bool evicts_dirty;
    uint32_t evicted; /* line number of a dirty victim */
    uint64_t *ready;
} Lookup;

void cache_init(Cache *cache, uint32_t bytes, uint32_t ways);
Lookup cache_touch(Cache *cache, uint32_t address, bool write);

#endif
