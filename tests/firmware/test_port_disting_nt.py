"""The disting NT: layouts held to the published header, objects to a loader, rubbish under sanitizers."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import vaectrol
from common.refusal import DoesNotFit, Refusal
from firmware import toolchain
from firmware.build import build_instrument, generate
from firmware.instruments.spec import available_instruments
from firmware.ports.disting_nt.link import (
    ENTRY,
    HOST_SYMBOLS,
    LOADER_SYMBOLS,
    PORT,
    check_interface,
    link,
    link_plugin,
    port_sources,
)
from firmware.ports.disting_nt.object_file import (
    GLOBAL,
    RELOCATIONS,
    UNDEFINED,
    Relocation,
    check,
    object_bytes,
    read_object,
)
from firmware.ports.disting_nt.rows import guid, pages_of, rows_of
from hardware.board import load_board

HERE = Path(__file__).parent
API = os.environ.get("DISTINGNT_API")
needs_api = pytest.mark.skipif(
    not API, reason="DISTINGNT_API names no checkout of expertsleepersltd/distingNT_API"
)
ARM_GCC = shutil.which("arm-none-eabi-g++")
M7 = (
    "-mcpu=cortex-m7",
    "-mfpu=fpv5-d16",
    "-mfloat-abi=hard",
    "-mthumb",
    "-fPIC",
    "-fno-rtti",
    "-fno-exceptions",
)
CLANG = (
    *(sys.executable, "-m", "ziglang", "c++", "-target", "thumb-freestanding-eabihf"),
    *("-mcpu=cortex_m7+fp_armv8d16", "-fPIC", "-fno-rtti", "-fno-exceptions", "-fno-unwind-tables"),
    "-fno-asynchronous-unwind-tables",
)


@pytest.fixture(scope="module")
def drum(classed_drum, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drum")
    return build_instrument("drum", "disting_nt", folder, models={"drum": classed_drum})


def compiled_layout(command, out):
    warnings = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror")
    includes = ("-I", str(Path(API) / "include"), "-I", str(PORT))
    done = subprocess.run(
        [*command, *warnings, *includes, "-c", str(HERE / "disting_nt_layout.cpp"), "-o", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = read_object(out)
    symbol = found.symbols[found.symbol("layout_probe")]
    data = found.sections[symbol.section].data[symbol.value : symbol.value + symbol.size]
    return struct.unpack(f"<{len(data) // 2}H", data), {
        name for name in found.undefined if "_NT_json" in name
    }


@needs_api
def test_our_layouts_are_those_of_the_published_header(tmp_path):
    ours, names = compiled_layout(CLANG, tmp_path / "clang.o")
    assert len(ours) > 70 and ours[-1] == 0xFFFF
    assert names == {name for name in HOST_SYMBOLS if "_NT_json" in name}
    if ARM_GCC is None:
        pytest.skip("arm-none-eabi-g++ is not installed: the layouts were held to the header by clang alone")
    theirs, other_names = compiled_layout((ARM_GCC, *M7), tmp_path / "gcc.o")
    assert theirs == ours
    assert other_names == names


@needs_api
@pytest.mark.skipif(ARM_GCC is None, reason="arm-none-eabi-g++ is not installed")
def test_the_interface_s_own_examples_need_every_relocation_that_ours_do(tmp_path):
    kinds = set()
    for source in sorted((Path(API) / "examples").glob("*.cpp")):
        out = tmp_path / f"{source.stem}.o"
        command = [
            ARM_GCC,
            "-std=c++11",
            *M7,
            "-Os",
            "-I",
            str(Path(API) / "include"),
            "-c",
            str(source),
            "-o",
            str(out),
        ]
        subprocess.run(command, check=True, capture_output=True)
        kinds |= {r.kind for s in read_object(out).sections if s.is_loaded for r in s.relocations}
    assert set(RELOCATIONS) <= kinds


@needs_api
def test_everything_that_is_left_undefined_is_in_the_published_headers():
    folder = Path(API) / "include" / "distingnt"
    text = (folder / "api.h").read_text() + (folder / "serialisation.h").read_text()
    for name in HOST_SYMBOLS:
        plain = re.sub(r"^_ZN\d+_NT_json(Stream|Parse)\d+([A-Za-z]+?)E.*", r"\2", name)
        assert re.search(rf"\b{plain}\b", text), name


def test_a_plugin_is_one_object_that_needs_the_module_alone(drum):
    found = read_object(drum.image)
    assert set(found.undefined) <= HOST_SYMBOLS | LOADER_SYMBOLS
    assert [s.name for s in found.symbols if s.binding == GLOBAL and s.section != UNDEFINED] == [ENTRY]
    names = [s.name for s in found.sections if s.is_loaded]
    assert names == [".text", ".rodata", ".data.rel.ro"]  # nothing that is written to
    assert {r.kind for s in found.sections for r in s.relocations} <= set(RELOCATIONS)
    # the module's data is reached as the interface's examples reach it
    data = {
        r.kind for s in found.sections for r in s.relocations if found.symbols[r.symbol].name == "NT_globals"
    }
    assert [RELOCATIONS[kind] for kind in data] == ["R_ARM_GOT_BREL"]
    tool = shutil.which("arm-none-eabi-readelf")
    if tool is not None:  # a witness for the file itself
        told = subprocess.run([tool, "-a", "-W", drum.image], capture_output=True, text=True, check=True)
        assert not told.stderr and "hard-float ABI" in told.stdout and "REL (Relocatable file)" in told.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", available_instruments())
def test_every_factory_instrument_is_a_plugin_of_moderate_size(name, tmp_path):
    built = build_instrument(name, "disting_nt", tmp_path)
    drums = built.assignment.kind == "drum"
    assert built.image is not None and built.image.stat().st_size <= (400_000 if drums else 600_000)


def test_an_object_reads_back_as_it_was_written(drum, tmp_path):
    found = read_object(drum.image)
    again = tmp_path / drum.image.name
    again.write_bytes(object_bytes(replace(found, sections=found.sections[:4])))
    back = read_object(again)
    assert back.symbols == found.symbols
    assert [s.data for s in back.sections[:4]] == [s.data for s in found.sections[:4]]
    assert [s.relocations for s in back.sections[:4]] == [s.relocations for s in found.sections[:4]]


def test_what_no_loader_would_take_is_refused(drum):
    found = read_object(drum.image)
    beyond = replace(
        found, symbols=[*found.symbols, replace(found.symbols[1], name="__aeabi_ldivmod", section=UNDEFINED)]
    )
    with pytest.raises(Refusal, match="needs __aeabi_ldivmod, which the disting NT does not offer a plug-in"):
        check(beyond, HOST_SYMBOLS | LOADER_SYMBOLS)
    text, *others = [s for s in found.sections if s.is_loaded]
    odd = replace(text, relocations=[*text.relocations, Relocation(0, 47, 1)])
    with pytest.raises(Refusal, match="relocations of type 47; only R_ARM_ABS32"):
        check(replace(found, sections=[odd]), HOST_SYMBOLS | LOADER_SYMBOLS)
    written = replace(others[-1], name=".data")
    with pytest.raises(Refusal, match=r"keeps [\d,]+ bytes that are written to outside of its instances"):
        check(replace(found, sections=[written]), HOST_SYMBOLS | LOADER_SYMBOLS)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no object file"),
        (b"not an object at all, but long enough to be the head of one", "is no object file"),
        (b"\x7fELF\x01\x01" + bytes(60), "is no relocatable ARM object"),
    ],
)
def test_what_is_no_object_is_refused(content, sentence, tmp_path):
    junk = tmp_path / "junk.o"
    junk.write_bytes(content)
    with pytest.raises(Refusal, match=sentence):
        read_object(junk)


def test_an_object_that_was_not_copied_whole_is_refused(drum, tmp_path):
    raw = drum.image.read_bytes()
    cut = tmp_path / "cut.o"
    for length in (60, len(raw) // 2, len(raw) - 100):
        cut.write_bytes(raw[:length])
        with pytest.raises(Refusal, match="was not copied whole"):
            read_object(cut)


def test_every_parameter_lies_on_a_page_under_a_name_of_its_own(drum):
    rows = rows_of(drum)
    pages = pages_of(rows)
    assert sorted(number for _, numbers in pages for number in numbers) == list(range(len(rows)))
    assert len({row.name for row in rows}) == len(rows)
    classes = next(row for row in rows if row.name == "Class")
    assert len(classes.names) == classes.most + 1 == 8 and classes.names[2] == "hat closed"
    latent = next(row for row in rows if row.name == "Latent 1")
    assert latent.most == 1000 and latent.unit == "NT_UNIT_STRINGS"
    gates = [row.default for row in rows if row.kind == "ROW_GATE_IN"]
    outs = [row.default for row in rows if row.kind.endswith("_OUT")]
    assert gates == [1, 2, 3] and outs == [13, 14, 15, 16]
    assert all(row.default == 0 for row in rows if row.kind == "ROW_CV_IN")  # the module maps CV itself


def test_presets_know_instruments_apart():
    names = available_instruments()
    found = {guid(name) for name in names}
    assert len(found) == len(names)
    assert all(len(one) == 4 and one[0] == "V" and one.isascii() for one in found)


def test_more_jacks_than_the_module_has_buses_are_refused(drum, tmp_path):
    text = (load_instrument_path() / "drum.toml").read_text()
    outputs = "".join(f'\n[[output]]\njack = "gate_out_{n}"\nfrom = "trigger"\n' for n in range(2, 61))
    instrument = tmp_path / "many.toml"
    instrument.write_text(text + outputs)
    gates = [
        gate.model_copy(update={"name": f"gate_out_{n}", "index": n})
        for n, gate in enumerate([drum.board.gates_out[0]] * 60, 1)
    ]
    board = drum.board.model_copy(update={"gates_out": tuple(gates)})
    built = replace(drum, assignment=replace(drum.assignment, board=board))
    from firmware.instruments.assign import assign
    from firmware.instruments.spec import load_instrument

    loaded = load_instrument(instrument)
    built.assignment = assign(loaded, drum.assignment.models, board)
    with pytest.raises(Refusal, match=r"uses 73 jacks, and the disting NT has 64 buses"):
        rows_of(built)


def load_instrument_path():
    import firmware.instruments

    return Path(firmware.instruments.__file__).parent


def test_memory_that_a_region_cannot_hold_is_refused_with_its_bytes(model_files, tmp_path):
    board = load_board("disting_nt")
    small = [
        region.model_copy(update={"bytes": 65536, "reserved_bytes": 40_000})
        if region.name == "dtcm"
        else region
        for region in board.memory
    ]
    with pytest.raises(
        DoesNotFit, match=r"needs [\d,]+ bytes of DTC, [\d,]+ more than the 25,536 that a disting NT"
    ):
        build_instrument(
            "drum",
            board.model_copy(update={"memory": tuple(small)}),
            tmp_path,
            models={"drum": model_files["drum"]},
        )


def test_another_rate_is_refused_at_build(model_files, tmp_path):
    board = load_board("disting_nt")
    slow = board.model_copy(update={"audio": board.audio.model_copy(update={"sample_rate_hz": 44_100.0})})
    with pytest.raises(Refusal, match="runs at 44100 Hz, and a plug-in plays at 48000"):
        build_instrument("drum", slow, tmp_path, models={"drum": model_files["drum"]})


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "kNT_apiVersionCurrent \t= kNT_apiVersion14",
            "version 14 of the plug-in interface, newer than the 13",
        ),
        ("kNT_apiVersionCurrent = kNT_apiVersion9", "version 9 of the plug-in interface, older than the 13"),
        (None, "there is no api.h of the interface in it"),
    ],
)
def test_another_version_of_the_interface_is_refused_at_build(line, sentence, tmp_path, drum, monkeypatch):
    folder = tmp_path / "include" / "distingnt"
    folder.mkdir(parents=True)
    if line is not None:
        (folder / "api.h").write_text(f"enum {{ {line} }};")
    monkeypatch.setenv("DISTINGNT_API", str(tmp_path))
    with pytest.raises(Refusal, match=sentence):
        link(drum, tmp_path)
    assert not list(tmp_path.glob("*.o"))


@needs_api
def test_the_known_version_is_taken():
    check_interface(API)


def test_counters_go_into_plugins_alone(model_files, tmp_path):
    with pytest.raises(Refusal, match="loads no plug-ins, and counters go into a plug-in"):
        build_instrument("drum", "host", tmp_path, models={"drum": model_files["drum"]}, counters=True)


def test_the_command_writes_one_file(model_files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "card" / "kick.o"
    words = [
        "build",
        "drum",
        "--board",
        "disting_nt",
        "--model",
        f"drum={model_files['drum']}",
        "-o",
        str(out),
    ]
    assert vaectrol.main(words) == 0
    assert read_object(out).symbol(ENTRY)
    assert [path.name for path in out.parent.iterdir()] == ["kick.o"]


def fuzzer(name, models, folder):
    """The port and an instrument, built with the sanitizers, inside a module gone mad."""
    built = generate(name, "disting_nt", folder, models=models, target="host-asan", instances=True)
    sources = [*built.sources, *port_sources(built, counters=True), HERE / "disting_nt_fuzz.c"]
    flags = [f"-I{folder}", f"-I{PORT}", "-DPLUGIN_COUNTS=1"]
    return toolchain.link_program(sources, "host-asan", folder / "fuzz", extra=flags)


def fuzzed(program, sequences, seed):
    done = subprocess.run([program, str(sequences), str(seed)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sequences} sequences" in done.stdout
    return done.stdout


needs_cc = pytest.mark.skipif(
    shutil.which("gcc") is None and shutil.which("clang") is None, reason="no sanitizers"
)


@needs_cc
@pytest.mark.parametrize("name", ["drum", "rhythm"])
def test_rubbish_of_every_kind_stays_within_its_memory(name, model_files, tmp_path):
    fuzzed(fuzzer(name, {name: model_files[name]}, tmp_path), 300, 1)


@needs_cc
def test_more_than_64_parameters_wait_for_a_full_queue(tmp_path):
    """Seed 2 is one of those where notes of a choir come faster than its instrument takes them."""
    fuzzed(fuzzer("choir", None, tmp_path), 150, 2)


@needs_cc
@pytest.mark.slow
@pytest.mark.parametrize("name", available_instruments())
def test_ten_thousand_sequences_stay_within_their_memory(name, tmp_path):
    print(fuzzed(fuzzer(name, None, tmp_path), 10_000, 7))


def test_a_plugin_with_counters_has_one_parameter_more(drum, tmp_path):
    plain = read_object(drum.image)
    counting = link_plugin(replace(drum, counters=True), tmp_path, counters=True)
    assert "NT_getCpuCycleCount" in counting.found.undefined
    assert "NT_getCpuCycleCount" not in plain.undefined
    assert len(rows_of(drum, counters=True)) == len(rows_of(drum)) + 1
