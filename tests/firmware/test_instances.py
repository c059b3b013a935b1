"""Several instruments side by side in one program: each plays as if alone, and only tables are shared."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from firmware import toolchain
from firmware.build import generate, host_library
from firmware.instruments.spec import available_instruments
from firmware.play.host import HostInstrument, Rendered
from tests.firmware.instances import Instance, Library, drawn_script, own_script, render_in_blocks

SECONDS = 1.5


def cut(ticks: int, seed: int) -> list[int]:
    """Blocks of 1 to 256 samples, as a host might ask for them."""
    draw = random.Random(seed)
    sizes: list[int] = []
    while ticks > 0:
        sizes.append(min(ticks, draw.choice([1, 7, 48, 48, draw.randint(1, 256)])))
        ticks -= sizes[-1]
    return sizes


def same(found: Rendered, wanted: Rendered) -> bool:
    """Whether every bit of it is."""
    pairs = ((found.audio, wanted.audio), (found.cv, wanted.cv), (found.gates, wanted.gates))
    return all(np.array_equal(a.view(np.uint32), b.view(np.uint32)) for a, b in pairs)


@pytest.mark.parametrize("name", available_instruments())
def test_two_instances_in_turn_play_as_each_would_alone(name, tmp_path):
    library = Library(name, tmp_path)
    alone = host_library(generate(name, "host", tmp_path / "alone", target="host"))
    scripts = own_script(library.built, SECONDS), drawn_script(library.built, SECONDS, seed=3)
    ticks = scripts[0].inputs.shape[1]
    blocks = cut(ticks, 1), cut(ticks, 2)
    pair = [Instance(library, script) for script in scripts]
    turn, left = random.Random(4), [list(sizes) for sizes in blocks]
    while any(left):
        which = turn.choice([at for at, sizes in enumerate(left) if sizes])
        pair[which].step(left[which].pop(0))
    for one, script, sizes in zip(pair, scripts, blocks, strict=True):
        assert one.is_over and one.guards_stand
        assert same(one.out, render_in_blocks(HostInstrument(alone), script, sizes))
    if name not in ("rhythm", "arpeggio"):
        assert np.abs(pair[0].out.audio).max() > 0.05
    assert not same(pair[0].out, pair[1].out)


def test_power_on_again_in_the_same_memory_is_power_on(tmp_path):
    library = Library("drum", tmp_path)
    script = own_script(library.built, 0.5)
    first = Instance(library, script)
    while not first.is_over:
        first.step(48)
    heard = first.out.audio.copy()
    again = Instance(library, script)
    again.memory, again.spans = first.memory, first.spans
    places = [array.ctypes.data + begin for array, (begin, _) in zip(first.memory, first.spans, strict=True)]
    again.self = library.lib.instance_init(
        library.ffi.new("void *[]", [library.ffi.cast("void *", at) for at in places]), 48_000.0
    )
    while not again.is_over:
        again.step(48)
    assert np.array_equal(again.out.audio.view(np.uint32), heard.view(np.uint32))


WRITABLE, ALLOCATED = 1, 2


def changing_bytes(file: Path) -> dict[str, int]:
    """Sizes of an ELF object's sections that a program may write to, but for constants with addresses."""
    raw = file.read_bytes()
    wide = raw[4] == 2
    place, size, count, names = struct.unpack_from(
        "<Q10xHHH" if wide else "<I10xHHH", raw, 40 if wide else 32
    )
    heads = []
    for at in range(place, place + size * count, size):
        fields = struct.unpack_from("<IIQQQQ" if wide else "<IIIIII", raw, at)
        heads.append((fields[0], fields[2], fields[4], fields[5]))
    table = heads[names][2]
    found = {}
    for name, flags, _, length in heads:
        text = raw[table + name : raw.index(b"\0", table + name)].decode()
        if flags & WRITABLE and flags & ALLOCATED and length and not text.startswith(".data.rel.ro"):
            found[text] = length
    return found


@pytest.mark.parametrize("target", ["host", "m7"])
@pytest.mark.parametrize("name", available_instruments())
def test_nothing_that_changes_is_static(name, target, tmp_path):
    built = generate(name, "patch_sm", tmp_path / "many", target=target, instances=True)
    for source in built.sources:
        made = toolchain.compile_source(source, target, extra=[f"-I{built.folder}"])
        assert changing_bytes(made) == {}, source.name


def test_what_is_static_in_an_image_of_one_is_seen(tmp_path):
    """Else the test above could not fail."""
    built = generate("drive", "patch_sm", tmp_path)
    source = toolchain.compile_source(tmp_path / "instrument.c", built.target, extra=[f"-I{tmp_path}"])
    assert sum(changing_bytes(source).values()) > 10_000


def test_pieces_lie_where_the_memory_plan_wants_them(tmp_path):
    """A groove's sets are too large for fast memory."""
    built = generate("groove", "patch_sm", tmp_path, instances=True)
    text = (built.folder / "instrument.c").read_text()
    assert '{"dtcm", sizeof(Instance), false}' in text and '{"axi", sizeof(InstanceAxi), false}' in text
    assert "HitSet drum_sets[" in text.split("typedef struct InstanceAxi")[1].split("}")[0]
    assert "section(" not in text
