"""From generated sources to a plug-in: position-independent code, joined, checked, written as NAME.o."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.files import whole, write_text
from common.refusal import DoesNotFit, Refusal
from firmware import toolchain
from firmware.build import Built
from firmware.ports.disting_nt import tables
from firmware.ports.disting_nt.object_file import ObjectFile, check, object_bytes, read_object, tidied
from firmware.report import PluginReport

PORT = Path(__file__).resolve().parent
ENTRY, STEP = "pluginEntry", "plugin_step"
API_VERSION = 13
"""NT_API_VERSION in abi.h."""
RATE_HZ = 48_000
"""PLUGIN_RATE_HZ in plugin.h."""
HOST_SYMBOLS = frozenset(
    (
        *("NT_globals", "NT_getCpuCycleCount", "NT_algorithmIndex", "NT_parameterOffset"),
        *("NT_setParameterFromAudio", "NT_drawText", "NT_drawShapeI", "NT_sendMidiSysEx"),
        *("_ZN14_NT_jsonStream13addMemberNameEPKc", "_ZN14_NT_jsonStream9addStringEPKc"),
        *("_ZN13_NT_jsonParse21numberOfObjectMembersERi", "_ZN13_NT_jsonParse9matchNameEPKc"),
        *("_ZN13_NT_jsonParse10skipMemberEv", "_ZN13_NT_jsonParse6stringERPKc"),
    )
)
"""What host.h declares: part of the interface's 13th version, and all that an object may leave undefined."""
LOADER_SYMBOLS = frozenset({"_GLOBAL_OFFSET_TABLE_"})
"""What stands for the loader's own table of addresses (globals.c)."""
OBJECT_FLAGS = (
    *("-fPIC", "-include", str(PORT / "hidden.h")),
    "-DVAECTROL_PLACE(region,name)=",  # tables lie where the loader puts the object
)


@dataclass(frozen=True)
class Plugin:
    """A plug-in as it was written."""

    path: Path
    found: ObjectFile
    bytes: int

    def describe(self) -> PluginReport:
        """What `report.json` says of it."""
        sections = {s.name: s.size for s in self.found.sections if s.is_loaded}
        return {"bytes": self.bytes, "sections": sections}


def port_sources(built: Built, counters: bool = False) -> list[Path]:
    """Write the plug-in's tables beside the instrument's; return them and the port's own C."""
    write_text(built.folder / "plugin_tables.h", tables.header(built))
    write_text(built.folder / "plugin_tables.c", tables.source(built, counters))
    return [built.folder / "plugin_tables.c", *sorted(PORT.glob("*.c"))]


def link_plugin(built: Built, out: Path, counters: bool = False) -> Plugin:
    """Make ``NAME.o`` in the folder `out`.

    Raises
    ------
    Refusal
        A symbol that the module does not offer, or what `object_file.check` refuses.
    """
    extra = [*OBJECT_FLAGS, f"-I{built.folder}", f"-I{PORT}"]
    counting = [*extra, *(["-DPLUGIN_COUNTS=1"] if counters else [])]
    objects = [
        *(toolchain.compile_source(source, built.target, extra=extra) for source in built.sources),
        *(
            toolchain.compile_source(source, built.target, extra=counting)
            for source in port_sources(built, counters)
        ),
    ]
    path = out / f"{built.name}.o"
    found = tidied(_combined(objects, path.name), ENTRY, STEP)
    check(found, HOST_SYMBOLS | LOADER_SYMBOLS)
    data = object_bytes(found)
    with whole(path) as part:
        part.write_bytes(data)
    return Plugin(path, found, len(data))


def check_interface(checkout: str | None) -> None:
    """Refuse a checkout of the interface whose version is another than the one that the port is written for.

    Parameters
    ----------
    checkout : str, optional
        What ``DISTINGNT_API`` says; without it nothing is checked.

    Raises
    ------
    Refusal
        No header there, or one of an older or newer version.
    """
    if not checkout:
        return
    header = Path(checkout) / "include" / "distingnt" / "api.h"
    try:
        text = header.read_text(encoding="utf-8", errors="replace")
    except OSError:
        raise Refusal(
            f"DISTINGNT_API is {checkout}, and there is no {header.name} of the interface in it."
        ) from None
    found = re.search(r"kNT_apiVersionCurrent\s*=\s*kNT_apiVersion(\d+)", text)
    version = int(found[1]) if found else 0
    if version != API_VERSION:
        age = "newer" if version > API_VERSION else "older"
        raise Refusal(
            f"DISTINGNT_API has version {version} of the plug-in interface, {age} than the {API_VERSION} "
            "that this is written for; check out that version, or unset DISTINGNT_API."
        )


def _combined(objects: Sequence[Path], name: str) -> ObjectFile:
    """Join objects into one with `ld -r`."""
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
        joined = Path(folder) / name
        command = [sys.executable, "-m", "ziglang", "ld.lld", "-r", *map(str, objects), "-o", str(joined)]
        toolchain.run(command, what="Joining the plug-in")
        return read_object(joined)


def link(built: Built, out: Path) -> Path:
    """Make the plug-in of what `firmware.build` generated.

    Raises
    ------
    Refusal
        A board at another rate than the module's, another interface, and what `link_plugin` refuses.
    DoesNotFit
        An instance asks for more of a region than the module is assumed to have left.
    """
    check_interface(os.environ.get("DISTINGNT_API"))
    if built.board.audio.sample_rate_hz != RATE_HZ:
        raise Refusal(
            f"{built.board.name} runs at {built.board.audio.sample_rate_hz:g} Hz, and a plug-in plays at "
            f"{RATE_HZ}."
        )
    for name, use in built.report["regions"].items():
        left = use["left"]
        if left is not None and left < 0:
            region = built.board.region(name)
            raise DoesNotFit(
                f"{built.name} needs {use['used']:,} bytes of {region.title}, {-left:,} more than the "
                f"{region.left_bytes:,} that a {built.board.title} is assumed to have left; use fewer voices "
                "or a smaller model."
            )
    plugin = link_plugin(built, out, counters=built.counters)
    built.report["plugin"] = plugin.describe()
    return plugin.path
