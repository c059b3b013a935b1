"""The toolchain: every target builds, the cache knows content, complaints are one sentence."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

import pytest

from common.refusal import Refusal
from firmware import toolchain

pytestmark = pytest.mark.fast

ADD = '#include "numbers.h"\nint add(int a, int b) { return a + b + OFFSET; }\n'


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("VAECTROL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "numbers.h").write_text("#define OFFSET 0\n")
    path = tmp_path / "add.c"
    path.write_text(ADD)
    return path


@pytest.mark.parametrize("target", [t for t in toolchain.TARGETS if t != "host-asan"])
def test_every_target_makes_its_own_object_format(source, target):
    head = toolchain.compile_source(source, target).read_bytes()[:20]
    if target == "wasm":
        assert head[:4] == b"\0asm"
    else:
        machine = {"host": None, "m7": 40}.get(target, 183)
        assert head[:4] == b"\x7fELF"
        assert machine is None or int.from_bytes(head[18:20], "little") == machine


def test_an_object_is_built_once_and_again_when_a_header_changes(source):
    first = toolchain.compile_source(source, "host")
    stamp = first.stat().st_mtime_ns
    assert toolchain.compile_source(source, "host") == first
    assert first.stat().st_mtime_ns == stamp
    (source.parent / "numbers.h").write_text("#define OFFSET 1\n")
    assert toolchain.compile_source(source, "host") != first


def test_the_same_content_in_another_folder_is_the_same_object(source, tmp_path):
    """A rendering has its model in a temporary folder; the engine must not be compiled for it again."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("add.c", "numbers.h"):
        (elsewhere / name).write_bytes((tmp_path / name).read_bytes())
    first = toolchain.compile_source(source, "host", extra=[f"-I{tmp_path}"])
    assert toolchain.compile_source(elsewhere / "add.c", "host", extra=[f"-I{elsewhere}"]) == first
    (elsewhere / "numbers.h").write_text("#define OFFSET 2\n")
    assert toolchain.compile_source(elsewhere / "add.c", "host", extra=[f"-I{elsewhere}"]) != first


def test_options_make_another_object(source):
    assert toolchain.compile_source(source, "host") != toolchain.compile_source(source, "host", opt="-O1")


def test_a_warning_is_an_error_told_in_one_sentence(source):
    source.write_text("short narrow(int v) { return v; }\n")
    with pytest.raises(Refusal, match=r"Compiling add.c failed: .*conversion"):
        toolchain.compile_source(source, "m7")
    assert not list((toolchain.cache_dir() / "objects").glob("*"))


@pytest.mark.skipif(not shutil.which("gcc"), reason="GCC is not here: apt install gcc")
def test_gcc_warns_of_nothing_in_the_engine_either():
    """It finds what clang doesn't, and the sanitizers' builds are its own."""
    sources = [p for p in toolchain.ENGINE.rglob("*.c") if not p.stem.endswith("_m7")]
    words = [
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Wdouble-promotion",
        "-Wno-attributes",
        "-Werror",
    ]
    native = ["-march=native"] if platform.machine() == "x86_64" else []
    done = subprocess.run(
        ["gcc", *words, *native, "-fsyntax-only", *map(str, sources)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(sources) > 50
    assert done.returncode == 0, done.stderr


def test_an_unknown_target_names_the_known_ones(source):
    with pytest.raises(Refusal, match=r"no target 'avr'; choose one of host, .*m7"):
        toolchain.compile_source(source, "avr")


def test_a_missing_emulator_is_named_with_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not toolchain.can_run("aarch64")
    with pytest.raises(Refusal, match="needs qemu-aarch64, which is not here: apt install qemu-user"):
        toolchain.run_command("aarch64", tmp_path / "program")


@pytest.mark.parametrize("target", ["host", "aarch64"])
def test_a_program_runs(source, target):
    if not toolchain.can_run(target):
        pytest.skip("qemu-aarch64 is not installed")
    main = source.parent / "main.c"
    main.write_text("int add(int, int);\nint main(void) { return add(20, 22); }\n")
    program = toolchain.link_program([source, main], target, source.parent / "program")
    assert subprocess.run(toolchain.run_command(target, program), check=False).returncode == 42
    assert os.access(program, os.X_OK)


def test_kernel_sources_leave_out_other_targets_and_plain_references():
    names = {t: {p.name for p in toolchain.kernel_sources(t)} for t in toolchain.TARGETS}
    assert "conv_w8a16_m7.S" in names["m7"] and "conv_w8a16_simd.c" not in names["m7"]
    assert "conv_w8a16_simd.c" in names["host"] and "conv_w8a16_m7.c" not in names["host"]
    assert "freestanding.c" in names["wasm"] and "freestanding.c" not in names["aarch64"]
    assert not any("plain" in name for found in names.values() for name in found)


def test_m7_code_uses_the_fpu_and_the_dsp_instructions(source):
    source.write_text(
        "float scale(float a, float b) { return a * b; }\n"
        "int mac(int a, int b, int c) { return __builtin_arm_smlad(a, b, c); }\n"
    )
    obj = toolchain.compile_source(source, "m7").read_bytes()
    assert b"__aeabi_fmul" not in obj


HIT = (
    "vk_modes",
    "vk_bands",
    "vk_glide",
    "vk_hit",
    "vk_m7_fir4_s16",
    "vk_m7_mix4",
    "called_",
    "faded",
    "add_gliding",
)
"""Functions of the sound of a hit, which is the engine's own and no model's layer."""
TEXTURE = ("vk_ear", "vk_fft", "vk_pitch", "vk_source", "roots_of")
"""Functions that hear and make a texture, the engine's own too."""
GRAINS = ("vk_grain",)
"""Functions that play grains."""
SPECTRA = ("vk_spsi", "overlap")
"""Functions that make sound of magnitudes."""


def test_engine_text_of_all_kernels_stays_below_its_limit():
    """Issue 4: engine code ≤ 32 KB of M7 text.

    Beside it a hit has 12, a texture 16, magnitudes 7, a voice and a body 3, grains 1.25, and since
    December 2026 the loops of convolutions, each for weights near and far, 9: twelve units of four taps a
    turn are what makes them fast.
    """
    from bench.kernels import text_bytes

    sizes = text_bytes()
    hit = {name: size for name, size in sizes.items() if name.startswith(HIT)}
    texture = {name: size for name, size in sizes.items() if name.startswith(TEXTURE)}
    voice = {name: size for name, size in sizes.items() if name.startswith("vk_harmonics")}
    body = {name: size for name, size in sizes.items() if name.startswith("vk_resonators")}
    loops = {name: size for name, size in sizes.items() if name.startswith("vk_m7_conv")}
    spectra = {name: size for name, size in sizes.items() if name.startswith(SPECTRA)}
    grains = {name: size for name, size in sizes.items() if name.startswith(GRAINS)}
    apart = sum(sum(own.values()) for own in (hit, texture, voice, body, loops, spectra, grains))
    assert sum(sizes.values()) - apart <= 32 * 1024
    assert 0 < sum(hit.values()) <= 12 * 1024
    assert 0 < sum(texture.values()) <= 16 * 1024
    assert 0 < sum(voice.values()) <= 3 * 1024
    assert 0 < sum(body.values()) <= 3 * 1024
    assert 0 < sum(loops.values()) <= 9 * 1024
    assert 0 < sum(spectra.values()) <= 7 * 1024
    assert 0 < sum(grains.values()) <= 1280
