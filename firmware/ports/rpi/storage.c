#define _GNU_SOURCE
#include "storage.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int file = -1;

static bool inside(uint32_t address, size_t bytes) {
    return address <= PORT_STORAGE_BYTES && bytes <= PORT_STORAGE_BYTES - address;
}

static bool read_bytes(void *context, uint32_t address, void *data, size_t bytes) {
    (void)context;
    return inside(address, bytes) && pread(file, data, bytes, (off_t)address) == (ssize_t)bytes;
}

static bool write_bytes(uint32_t address, const void *data, size_t bytes) {
    return inside(address, bytes) && pwrite(file, data, bytes, (off_t)address) == (ssize_t)bytes;
}

static bool write_ones(uint32_t address) {
    uint8_t ones[PORT_SECTOR_BYTES];
    memset(ones, 0xFF, sizeof ones);
    return write_bytes(address, ones, sizeof ones);
}

static bool erase_sector(void *context, uint32_t address) {
    (void)context;
    return write_ones(address) && fdatasync(file) == 0;
}

static bool program_bytes(void *context, uint32_t address, const void *data, size_t bytes) {
    (void)context;
    return write_bytes(address, data, bytes) && fdatasync(file) == 0;
}

static const PortStorage storage = {NULL, read_bytes, erase_sector, program_bytes};

const PortStorage *storage_open(const char *path) {
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    struct stat info;
    if (file < 0 || fstat(file, &info) != 0) return NULL;
    for (uint32_t at = (uint32_t)info.st_size / PORT_SECTOR_BYTES * PORT_SECTOR_BYTES; at < PORT_STORAGE_BYTES;
         at += PORT_SECTOR_BYTES)
        if (!write_ones(at)) return NULL;
    return fdatasync(file) == 0 ? &storage : NULL;
}
