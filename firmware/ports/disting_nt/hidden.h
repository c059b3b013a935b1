/* Before everything else in a plug-in: nothing is reached through a table of addresses that only a dynamic linker fills. */
#pragma GCC visibility push(hidden)
