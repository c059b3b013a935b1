"""One pinned clang for every target: sources in, objects and small programs out, cached by content.

The compiler is the one inside the ``ziglang`` package, so that no SDK is needed to build or test. Sanitizers
are the exception: zig carries no AddressSanitizer runtime, so ``host-asan`` asks the system's compiler.
Linking the Daisy image (libDaisy, arm-none-eabi-g++) is not done here; its objects are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common.refusal import Refusal

ENGINE = Path(__file__).resolve().parent / "engine"

# Warnings are errors: a promise of the project, kept where the code is built.
COMMON_FLAGS = (
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wdouble-promotion",
    "-Werror",
    "-ffp-contract=off",  # a fused multiply-add rounds differently from target to target
    "-fno-math-errno",
    "-fomit-frame-pointer",
    "-g0",
)


@dataclass(frozen=True)
class Target:
    """How one processor is compiled for and its programs run.

    Attributes
    ----------
    flags : compiler flags that choose the processor.
    kernels : which files of ``engine/kernels`` are its fast ones: m7, or simd (clang vectors).
    packing : order of weights its kernels read, a key of ``firmware.kernelgen.packing.PACKINGS``.
    models : target whose generated models it shares; empty: it has its own.
    runner : what runs a program of it; empty: this machine does.
    """

    flags: tuple[str, ...]
    kernels: str
    packing: str
    runner: tuple[str, ...] = ()
    runner_hint: str = ""
    models: str = ""


TARGETS = {
    # Host builds run where they are built, so they may use all that processor has.
    "host": Target(("-march=native", "-fPIC", "-fno-sanitize=undefined"), "simd", "pair8"),
    "host-asan": Target(
        ("-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g"),
        "simd",
        "pair8",
        models="host",
    ),
    # +fp_armv8d16 is LLVM's name for FPv5 with doubles; cortex_m7 alone means soft float to zig.
    "m7": Target(
        (
            *("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m7+fp_armv8d16"),
            *("-ffreestanding", "-fno-sanitize=undefined"),
            *("-ffunction-sections", "-fdata-sections"),
            *("-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
        ),
        "m7",
        "quad",
    ),
    "aarch64": Target(
        ("-target", "aarch64-linux-musl", "-mcpu=cortex_a72", "-fno-sanitize=undefined"),
        "simd",
        "lane8",
        ("qemu-aarch64",),
        "apt install qemu-user",
    ),
    # Raspberry Pi 5: the Cortex-A76 has SDOT
    "aarch64-dotprod": Target(
        ("-target", "aarch64-linux-musl", "-mcpu=cortex_a76", "-fno-sanitize=undefined"),
        "simd",
        "lane8",
        ("qemu-aarch64", "-cpu", "max"),
        "apt install qemu-user",
        models="aarch64",
    ),
    "wasm": Target(
        (
            "-target",
            "wasm32-freestanding",
            "-mcpu=generic+simd128",
            "-ffreestanding",
            "-fno-sanitize=undefined",
        ),
        "simd",
        "pair8",
        ("node",),
        "apt install nodejs",
    ),
}

_SHARED = ("-fPIC", "-fvisibility=hidden", "-fno-sanitize=undefined")
PLUGIN_TARGETS = {
    # Any x86-64 of the last fifteen years; the oldest glibc that still gets updates somewhere
    "linux-x86_64": Target(
        ("-target", "x86_64-linux-gnu.2.17", "-mcpu=x86_64_v2", *_SHARED), "simd", "pair8", models="host"
    ),
    "windows-x86_64": Target(
        ("-target", "x86_64-windows-gnu", "-mcpu=x86_64_v2", *_SHARED[1:]), "simd", "pair8", models="host"
    ),
    "macos-x86_64": Target(
        ("-target", "x86_64-macos.11.0", "-mcpu=x86_64_v2", *_SHARED), "simd", "pair8", models="host"
    ),
    "macos-arm64": Target(
        ("-target", "aarch64-macos.11.0", "-mcpu=apple_m1", *_SHARED), "simd", "lane8", models="aarch64"
    ),
}
"""Systems that plugins are made for. No model is compiled for one alone."""


def target_named(name: str) -> Target:
    """Return the target called `name`, or raise a `Refusal` that lists them otherwise."""
    if name in PLUGIN_TARGETS:
        return PLUGIN_TARGETS[name]
    if name not in TARGETS:
        raise Refusal(f"There is no target {name!r}; choose one of {', '.join(TARGETS)}.")
    return TARGETS[name]


def include_dirs() -> list[Path]:
    """Where ``#include "kernels/vk.h"`` and its like are found."""
    return [ENGINE]


def kernel_sources(target: str) -> list[Path]:
    """Every source of the engine's kernels and DSP for `target`, in a stable order.

    Files whose name ends in ``_m7`` or ``_simd`` are taken where the target uses them; the others always.
    ``*_plain.c`` are the references the tests hold the fast ones against: not part of an image.
    """
    wanted = target_named(target).kernels
    sources = []
    for path in sorted([*ENGINE.glob("kernels/*.[cS]"), *ENGINE.glob("dsp/*.[cS]")]):
        suffix = path.stem.rsplit("_", 1)[-1]
        if suffix == "plain" or (suffix in ("m7", "simd") and suffix != wanted):
            continue
        if path.stem.startswith("freestanding") and target not in ("m7", "wasm"):
            continue
        sources.append(path)
    return sources


def cache_dir() -> Path:
    """Where objects are kept: ``VAECTROL_CACHE``, else ``~/.cache/vaectrol``."""
    return Path(os.environ.get("VAECTROL_CACHE") or Path.home() / ".cache" / "vaectrol")


@cache
def compiler_command(target: str) -> tuple[str, ...]:
    """Return the compiler driver for `target`, as the first words of a command."""
    if target == "host-asan":
        for name in ("clang", "gcc", "cc"):
            if path := shutil.which(name):
                return (path,)
        raise Refusal("Target host-asan needs a system compiler with sanitizers; install gcc or clang.")
    return (sys.executable, "-m", "ziglang", "cc")


@cache
def compiler_version(target: str) -> str:
    """Return what the compiler says of itself, part of every cache key."""
    return run([*compiler_command(target), "--version"])


@cache
def _machine() -> str:
    """Return what ``-march=native`` means here, part of the host's cache keys."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith(("flags", "Features")):
            return line
    return ""


def run(command: Sequence[str | Path], *, what: str = "") -> str:
    """Run a tool and return what it printed; a `Refusal` with its first complaint where it fails."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Refusal(f"Cannot run {command[0]}: {error.strerror}.") from error
    if done.returncode:
        complaints = [
            line for line in done.stderr.splitlines() if "error" in line
        ] or done.stderr.splitlines()
        raise Refusal(
            f"{what or command[0]} failed: {complaints[0] if complaints else 'no message'}\n{done.stderr}"
        )
    return done.stdout


def include_closure(sources: Iterable[Path], dirs: Sequence[Path]) -> list[Path]:
    """List `sources` and every file they include with quotes, found beside the includer or in `dirs`."""
    found: dict[Path, None] = {}
    queue = [Path(source).resolve() for source in sources]
    while queue:
        path = queue.pop()
        if path in found:
            continue
        found[path] = None
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.strip().replace("# include", "#include").split('"')
            if len(words) >= 3 and words[0].strip() == "#include":
                for base in (path.parent, *dirs):
                    if (base / words[1]).exists():
                        queue.append((base / words[1]).resolve())
                        break
    return sorted(found)


def content_key(words: Iterable[str], files: Iterable[Path]) -> str:
    """Hash the words of a command and the names and content of the files it reads, wherever they lie."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for name, content in sorted((file.name, hashlib.sha256(file.read_bytes()).digest()) for file in files):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()[:32]


def flags(target: str, *, opt: str = "-O2", extra: Sequence[str] = ()) -> list[str]:
    """Every compiler flag of `target`."""
    chosen = target_named(target).flags
    includes = [word for path in include_dirs() for word in ("-I", str(path))]
    return [*COMMON_FLAGS, opt, *chosen, *includes, *extra]


def compile_source(source: Path, target: str, *, opt: str = "-O2", extra: Sequence[str] = ()) -> Path:
    """Compile one C or assembly file; the object lies in the cache.

    Raises
    ------
    Refusal
        The compiler's first complaint; also where the target's compiler is absent.
    """
    source = Path(source).resolve()
    words = flags(target, opt=opt, extra=extra)
    dirs = [*include_dirs(), *(Path(word[2:]) for word in extra if word.startswith("-I") and len(word) > 2)]
    # Where files lie is no part of it, what is in them is: a kernel is compiled once, though every rendering
    # and every test has its model in a folder of its own.
    options = [*COMMON_FLAGS, opt, *target_named(target).flags, *(w for w in extra if not w.startswith("-I"))]
    identity = [target, compiler_version(target), source.name, *options]
    if target.startswith("host"):
        identity.append(_machine())
    out = cache_dir() / "objects" / f"{content_key(identity, include_closure([source], dirs))}.o"
    if not out.exists():
        _write_through_temporary(
            out,
            lambda part: [*compiler_command(target), *words, "-c", source, "-o", part],
            f"Compiling {source.name}",
        )
    return out


def compile_object(
    sources: Sequence[Path], target: str, out: Path, *, opt: str = "-O2", extra: Sequence[str] = ()
) -> list[Path]:
    """Compile `sources` for `target` into the folder `out`, one object each, named after its source."""
    out.mkdir(parents=True, exist_ok=True)
    objects = []
    for source in sources:
        built = compile_source(source, target, opt=opt, extra=extra)
        place = out / f"{Path(source).stem}.{'S.o' if Path(source).suffix == '.S' else 'o'}"
        shutil.copyfile(built, place)
        objects.append(place)
    return objects


def link_shared(
    sources: Sequence[Path],
    target: str,
    out: Path,
    *,
    opt: str = "-O2",
    extra: Sequence[str] = (),
    export_all: bool = True,
    undefined: bool = False,
) -> Path:
    """Build what a page, a studio, a test or the binding loads: a shared library, or a module (wasm).

    Parameters
    ----------
    export_all : bool
        Whether it exports every function, for a test to call, or those alone that are marked for it.
    undefined : bool
        Whether it may call what the program has that loads it.
    """
    objects = [compile_source(source, target, opt=opt, extra=extra) for source in sources]
    if target == "wasm":
        # zig's own driver does not export; its linker does
        shown = ["--export-all"] if export_all else ["--strip-all"]
        tail = ["--no-entry", *shown, "-z", "stack-size=65536"]
        return _link(objects, target, out, tail, [sys.executable, "-m", "ziglang", "wasm-ld"])
    if target in ("host", "host-asan"):
        tail = ["-shared"]
    elif target in PLUGIN_TARGETS:
        loose = ["-Wl,-undefined,dynamic_lookup"] if target.startswith("macos") and undefined else []
        tail = ["-shared", "-s", *loose]
    else:
        raise Refusal(f"Target {target} has no shared libraries here; link a program with link_program.")
    return _link(objects, target, out, tail)


def link_program(
    sources: Sequence[Path], target: str, out: Path, *, opt: str = "-O2", extra: Sequence[str] = ()
) -> Path:
    """Build a program with a ``main`` (host, host-asan, aarch64: static, for qemu-user or a Pi)."""
    return link_objects(
        [compile_source(source, target, opt=opt, extra=extra) for source in sources], target, out
    )


def link_objects(objects: list[Path], target: str, out: Path) -> Path:
    """Link compiled objects to a program with a ``main``."""
    if target in ("host", "host-asan"):
        tail = []
    elif target.startswith("aarch64"):
        tail = ["-static"]
    else:
        raise Refusal(f"Target {target} has no programs with a main here.")
    return _link(objects, target, out, tail)


def _link(
    objects: list[Path], target: str, out: Path, tail: list[str], linker: Sequence[str] | None = None
) -> Path:
    chosen = [] if linker else [f for f in target_named(target).flags if f != "-ffreestanding"]
    command = list(linker or compiler_command(target))
    identity = [target, "link", compiler_version(target), *chosen, *tail]
    if target.startswith("host"):
        identity.append(_machine())
    built = cache_dir() / "linked" / content_key(identity, objects)
    if not built.exists():
        _write_through_temporary(
            built, lambda part: [*command, *chosen, *objects, *tail, "-o", part], f"Linking {out.name}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    # renamed into place: a library that this process has loaded must not change under it
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        os.replace(shutil.copy(built, Path(folder) / out.name), out)
    return out


def _write_through_temporary(out: Path, command: Callable[[Path], Sequence[str | Path]], what: str) -> None:
    """Run the command that `command(part)` returns, then rename: two processes may build the same object."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        part = Path(folder) / ("part" + (out.suffix or ".bin"))
        run(command(part), what=what)
        os.replace(part, out)


def run_command(target: str, program: Path) -> list[str]:
    """Return the words that run `program`, built for `target`, on this machine.

    Raises
    ------
    Refusal
        Names the emulator that is missing and how to install it.
    """
    chosen = target_named(target)
    if target == "m7":
        raise Refusal("Cortex-M7 objects run in the emulated board; use bench.m7.")
    if chosen.runner and not shutil.which(chosen.runner[0]):
        raise Refusal(f"Running {target} needs {chosen.runner[0]}, which is not here: {chosen.runner_hint}.")
    return [*chosen.runner, str(program)]


def can_run(target: str) -> bool:
    """Whether programs of `target` run here (tests skip otherwise)."""
    runner = target_named(target).runner
    return not runner or shutil.which(runner[0]) is not None
