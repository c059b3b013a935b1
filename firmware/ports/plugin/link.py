"""An instrument as a CLAP plugin or a Pure Data external, for any desktop, from this machine."""

from __future__ import annotations

import re
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.files import write_bytes, write_text
from common.refusal import Refusal
from firmware import toolchain
from firmware.build import PORTS, Built, generate
from firmware.ports.plugin.tables import plugin_id, plugin_tables
from hardware.board import Board

SYSTEMS = {
    "linux": ("linux-x86_64",),
    "windows": ("windows-x86_64",),
    "macos": ("macos-x86_64", "macos-arm64"),
}
"""Targets of each system; a Mac's file holds both of its processors."""
FORMATS = ("clap", "pd")
PD_SUFFIXES = {"linux": ".pd_linux", "macos": ".pd_darwin"}
FAT_ALIGNMENT_BITS = 14
"""Of a processor's part in a Mac's file: a page of its memory."""
CPUS = {"macos-x86_64": (0x01000007, 3), "macos-arm64": (0x0100000C, 0)}
"""Mach-O's numbers of a processor and its variant."""


@dataclass(frozen=True)
class Wanted:
    """What `vaectrol plugin` was asked for.

    Attributes
    ----------
    instrument : name or path of a TOML file
    board : Board
        Whose jacks and voices it has.
    models : mapping of role to ONNX file, in place of the instrument's own
    block : int, optional
        Samples that are rendered at once; the board's when omitted.
    """

    instrument: str | Path
    board: Board
    models: Mapping[str, Path]
    block: int | None = None


def place(wanted: Wanted, form: str, system: str, out: Path) -> Path:
    """Return where a plugin goes.

    Raises
    ------
    Refusal
        Something is there already, or Pure Data has no externals of this kind on the system.
    """
    stem = Path(wanted.instrument).stem
    if form == "pd":
        if system not in PD_SUFFIXES:
            raise Refusal(
                f"a Pure Data external for {system} is linked against Pd's own files, which are not here; "
                f"choose {' or '.join(PD_SUFFIXES)}."
            )
        path = out / system / f"{stem}~{PD_SUFFIXES[system]}"
    else:
        path = out / system / f"{stem}.clap"
    if path.exists():
        raise Refusal(f"{path} is there already; remove it, or name another folder.")
    return path


def build_plugin(wanted: Wanted, form: str, system: str, out: Path) -> Path:
    """Make a plugin for one system; nothing is written when anything fails.

    Returns
    -------
    Path
        The file, or on a Mac the folder that it takes for one.

    Raises
    ------
    Refusal
        What `place`, `firmware.build.generate` or the compiler refuse.
    """
    path = place(wanted, form, system, out)
    with tempfile.TemporaryDirectory(prefix="vaectrol-plugin-") as folder:
        made = [library(wanted, form, target, Path(folder) / target) for target in SYSTEMS[system]]
        images = {target: file.read_bytes() for target, (_, file) in zip(SYSTEMS[system], made, strict=True)}
        built = made[0][0]
        whole = universal(images) if system == "macos" else next(iter(images.values()))
    if form == "clap" and system == "macos":
        stem = path.stem
        write_bytes(path / "Contents" / "MacOS" / stem, whole)
        (path / "Contents" / "MacOS" / stem).chmod(0o755)
        write_text(path / "Contents" / "Info.plist", property_list(built, stem, bool(wanted.models)))
        write_text(path / "Contents" / "PkgInfo", "BNDL????")
    else:
        write_bytes(path, whole)
        path.chmod(0o755)
    return path


def library(wanted: Wanted, form: str, target: str, folder: Path) -> tuple[Built, Path]:
    """Generate, compile and link one target's shared library."""
    built = generate(
        wanted.instrument,
        wanted.board,
        folder,
        models=wanted.models,
        block=wanted.block,
        target=target,
        instances=True,
    )
    tables = folder / "plugin.c"
    write_text(tables, plugin_tables(built, own_models=bool(wanted.models)))
    port = [PORTS / "plugin" / "player.c", PORTS / ("clap/clap.c" if form == "clap" else "pd/external.c")]
    words = [f"-I{folder}", f"-I{PORTS / 'plugin'}"]
    if form == "pd":
        name = built.name
        words += [f"-DVAECTROL_PD_SETUP={_symbol(name)}_tilde_setup", f'-DVAECTROL_PD_NAME="{name}~"']
    out = folder / f"{built.name}.so"
    made = toolchain.link_shared(
        [*built.sources, tables, *port], target, out, extra=words, undefined=form == "pd"
    )
    return built, made


def _symbol(name: str) -> str:
    """Return the part of a C name by which Pd finds an external."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Refusal(
            f"Pure Data can't name an object {name}~; call the instrument's file by letters, digits and "
            "underscores."
        )
    return name


def universal(images: Mapping[str, bytes]) -> bytes:
    """Put a Mac's libraries of several processors into one file (Mach-O's fat header)."""
    page = 1 << FAT_ALIGNMENT_BITS
    head = struct.pack(">II", 0xCAFEBABE, len(images))
    body = b""
    at = page
    for target, image in images.items():
        head += struct.pack(">IIIII", *CPUS[target], at, len(image), FAT_ALIGNMENT_BITS)
        body += image + bytes(-len(image) % page)
        at += len(image) + -len(image) % page
    return head + bytes(page - len(head)) + body


def property_list(built: Built, executable: str, own_models: bool) -> str:
    """Return a Mac bundle's Info.plist."""
    rows = {
        "CFBundleExecutable": executable,
        "CFBundleIdentifier": plugin_id(built, own_models).replace("_", "-"),
        "CFBundleInfoDictionaryVersion": "6.0",
        "CFBundleName": executable,
        "CFBundlePackageType": "BNDL",
        "CFBundleShortVersionString": built.version,
        "CFBundleSignature": "????",
        "CFBundleVersion": built.version,
    }
    import plistlib

    return plistlib.dumps(rows).decode()
