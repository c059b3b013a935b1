"""One model, four processors, the same bits."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from firmware import toolchain
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.compiler_graphs import quantized, random_graph
from tests.firmware.compiler_targets import run_on

TARGETS = ["host", "m7", "aarch64", "wasm"]
NEEDS = {"aarch64": "qemu-aarch64", "wasm": "node"}


def skip_without(target: str) -> None:
    if target in NEEDS and not shutil.which(NEEDS[target]):
        pytest.skip(f"{NEEDS[target]} is not installed (see firmware/README.md)")


def differing(target: str, seed: int, kind: str, frames: int) -> tuple[int, int]:
    """Outputs of a random graph on a target that differ from the numpy judge, and how many there are."""
    model, builder = random_graph(seed, 7, slow=seed % 3 == 0, batch_norm=False)
    model = quantized(builder, kind)
    feeds = builder.feeds(builder.unit * frames)
    program = compile_onnx(model, block=16)
    ports = {p["label"]: p for p in program.report["ports"]}
    ticks = feeds["x"].shape[2] * ports["x"]["period_ticks"]
    rng, blocks = np.random.default_rng(seed), []
    while sum(blocks) < ticks:
        blocks.append(min(int(rng.choice([1, 7, 13, 48, 96])), ticks - sum(blocks)))
    truth = run(program.graph, feeds)
    wrong = count = 0
    for name, heard in run_on(target, model, feeds, blocks, block=16).items():
        late = ports[name]["latency_ticks"] // ports[name]["period_ticks"]
        size = min(heard.shape[1] - late, truth[name].shape[1])
        wrong += int(np.count_nonzero(heard[:, late : late + size] != truth[name][:, :size]))
        count += heard[:, late : late + size].size
    return wrong, count


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("seed", "kind"), [(0, "int16"), (4, "int8"), (7, "uint8")])
def test_every_processor_gives_the_integers_of_the_judge(target, seed, kind):
    skip_without(target)
    wrong, count = differing(target, seed, kind, 12)
    assert count > 0
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_million_outputs_are_equal(target):
    """Seeds 1000 upward, until a million outputs of a target have been compared."""
    skip_without(target)
    wrong = count = 0
    seed = 1000
    while count < 1_000_000:
        more = differing(target, seed, ("int16", "int8", "uint8")[seed % 3], 150)
        wrong, count, seed = wrong + more[0], count + more[1], seed + 1
    print(f"{target}: {count} outputs, {wrong} differ, seeds 1000..{seed - 1}")
    assert wrong == 0


@pytest.mark.parametrize("seed", [1, 5])
def test_float_graphs_give_the_same_bits_on_every_processor(seed):
    model, builder = random_graph(seed)
    feeds = builder.feeds(builder.unit * 8)
    program = compile_onnx(model)
    period = next(p["period_ticks"] for p in program.report["ports"] if p["label"] == "x")
    ticks = feeds["x"].shape[2] * period
    blocks = [min(48, ticks - at) for at in range(0, ticks, 48)]
    host = run_on("host", model, feeds, blocks)
    for target in TARGETS[1:]:
        if target in NEEDS and not shutil.which(NEEDS[target]):
            continue
        for name, values in run_on(target, model, feeds, blocks).items():
            np.testing.assert_array_equal(values, host[name])


@pytest.mark.parametrize(("seed", "kind"), [(2, "int16"), (9, "float"), (11, "int8")])
def test_host_builds_are_clean_under_the_sanitizers(seed, kind):
    if not any(shutil.which(c) for c in ("clang", "gcc", "cc")):
        pytest.skip("the sanitizers need a system compiler")
    model, builder = random_graph(seed, batch_norm=kind == "float")
    if kind != "float":
        model = quantized(builder, kind)
    feeds = builder.feeds(builder.unit * 6)
    period = next(p["period_ticks"] for p in compile_onnx(model).report["ports"] if p["label"] == "x")
    ticks = feeds["x"].shape[2] * period
    blocks = [1, 7, 13] + [min(48, ticks - 21 - at) for at in range(0, ticks - 21, 48)]
    clean = run_on("host-asan", model, feeds, blocks)
    for name, values in run_on("host", model, feeds, blocks).items():
        np.testing.assert_array_equal(values, clean[name])


def test_the_m7_object_needs_nothing_but_the_engine():
    """No heap, no libm, no stdio: every symbol a generated source asks for is a kernel or memory function."""
    _, builder = random_graph(3, batch_norm=False)
    program = compile_onnx(quantized(builder, "int16"), "m7", "patch_sm")
    folder = toolchain.cache_dir() / "models" / "symbols"
    program.write(folder)
    built = toolchain.compile_source(folder / f"{program.name}.c", "m7")
    names = _undefined(built.read_bytes())
    assert names
    assert all(n.startswith(("vk_", "memcpy", "memset", "memmove", "__aeabi_mem")) for n in names), names


def _undefined(data: bytes) -> list[str]:
    """Undefined symbols of a 32-bit little-endian ELF object."""
    import struct

    (at,) = struct.unpack_from("<I", data, 32)
    size, count, _ = struct.unpack_from("<HHH", data, 46)
    sections = [struct.unpack_from("<IIIIIIIIII", data, at + i * size) for i in range(count)]
    names = []
    for section in sections:
        if section[1] == 2:  # SHT_SYMTAB
            strings = sections[section[6]]
            for place in range(section[4], section[4] + section[5], 16):
                name, _, _, _, _, index = struct.unpack_from("<IIIBBH", data, place)
                if index == 0 and name:
                    begin = strings[4] + name
                    names.append(data[begin : data.index(b"\0", begin)].decode())
    return names
