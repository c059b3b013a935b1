"""Storage: a power cut at any byte loses nothing that was stored before."""

from __future__ import annotations

import random
import zlib

import pytest

SECTOR = 4096


@pytest.mark.parametrize("size", [1, 63, 64, 65, 1036, 2212])
def test_a_cut_at_every_byte_leaves_the_old_or_the_new(control, size):
    before, after = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    cuts = control.ffi.new("uint32_t *")
    assert control.lib.shim_cut_everywhere(before, after, size, cuts) == 0
    assert cuts[0] == SECTOR + 20 + size  # every byte erased or programmed was one of the cuts


def fresh(control):
    control.ffi.memmove(control.lib.shim_flash(), b"\xff" * (4 * SECTOR), 4 * SECTOR)
    control.lib.shim_power(0xFFFFFFFF, 1)


def test_an_empty_flash_holds_nothing_and_a_save_comes_back(control):
    fresh(control)
    out = control.ffi.new("uint8_t[]", 100)
    assert not control.lib.shim_load(out, 100)
    for n in range(5):
        payload = bytes([n]) * 100
        assert control.lib.shim_save(payload, 100)
        assert control.lib.shim_load(out, 100)
        assert bytes(out) == payload


def test_any_flipped_bit_is_noticed_and_the_older_slot_serves(control):
    fresh(control)
    control.lib.shim_save(b"old" * 20, 60)
    control.lib.shim_save(b"new" * 20, 60)
    flash = control.ffi.buffer(control.lib.shim_flash(), 4 * SECTOR)
    out = control.ffi.new("uint8_t[]", 60)
    for bit in range(8 * (20 + 60)):
        byte = SECTOR + bit // 8
        flash[byte] = bytes([flash[byte][0] ^ (1 << bit % 8)])
        assert control.lib.shim_load(out, 60)
        assert bytes(out) == b"old" * 20
        flash[byte] = bytes([flash[byte][0] ^ (1 << bit % 8)])
    assert control.lib.shim_load(out, 60)
    assert bytes(out) == b"new" * 20


def test_sequence_numbers_may_wrap(control):
    fresh(control)
    control.lib.shim_save(b"a" * 8, 8)
    flash = control.ffi.buffer(control.lib.shim_flash(), 4 * SECTOR)
    header = bytearray(flash[0:16])
    header[12:16] = b"\xff\xff\xff\xff"
    flash[0:16] = bytes(header)
    flash[16:20] = zlib.crc32(b"a" * 8, zlib.crc32(bytes(header))).to_bytes(4, "little")
    out = control.ffi.new("uint8_t[]", 8)
    assert control.lib.shim_load(out, 8)
    assert control.lib.shim_save(b"b" * 8, 8)
    assert control.lib.shim_load(out, 8)
    assert bytes(out) == b"b" * 8


def test_another_size_is_not_mistaken_for_it(control):
    fresh(control)
    control.lib.shim_save(b"x" * 64, 64)
    assert not control.lib.shim_load(control.ffi.new("uint8_t[]", 60), 60)
    assert not control.lib.shim_save(b"x" * 5000, 5000)
