/* A set-associative cache with LRU replacement, tags only. */
#include "cache.h"

#include <string.h>

void cache_init(Cache *cache, uint32_t bytes, uint32_t ways) {
    memset(cache, 0, sizeof *cache);
    cache->ways = ways < 1 ? 1 : ways > MAX_WAYS ? MAX_WAYS : ways;
    cache->sets = bytes / (LINE_BYTES * cache->ways);
    if (cache->sets < 1) cache->sets = 1;
    if (cache->sets > MAX_SETS) cache->sets = MAX_SETS;
}

Lookup cache_touch(Cache *cache, uint32_t address, bool write) {
    const uint32_t line = address / LINE_BYTES;
    const uint32_t set = line % cache->sets;
    uint32_t victim = 0;
    Lookup found = {false, false, 0, NULL};
    cache->clock++;
    for (uint32_t way = 0; way < cache->ways; way++) {
        if (cache->valid[set][way] && cache->line[set][way] == line) {
            cache->used[set][way] = cache->clock;
            cache->dirty[set][way] = cache->dirty[set][way] || write;
            found.hit = true;
            found.ready = &cache->ready[set][way];
            return found;
        }
        if (!cache->valid[set][way]) {
            if (cache->valid[set][victim]) victim = way;
        } else if (cache->valid[set][victim] && cache->used[set][way] < cache->used[set][victim]) {
            victim = way;
        }
    }
    found.evicts_dirty = cache->valid[set][victim] && cache->dirty[set][victim];
    found.evicted = cache->line[set][victim];
    cache->valid[set][victim] = true;
    cache->line[set][victim] = line;
    cache->dirty[set][victim] = write;
    cache->used[set][victim] = cache->clock;
    cache->ready[set][victim] = 0;
    found.ready = &cache->ready[set][victim];
    return found;
}
