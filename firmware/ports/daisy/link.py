"""From objects to an image: compile the port against the builder's libDaisy, place everything, link, measure.

libDaisy is the builder's own, built by its own instructions; `LIBDAISY_DIR` names it. Nothing of it is kept
here. `vaectrol build INSTRUMENT --board patch_sm` ends here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common.refusal import DoesNotFit, Refusal, ToolMissing
from firmware.report import ImageReport
from firmware.toolchain import kernel_sources
from hardware.board import Board, Boot
from hardware.tables import board_tables

if TYPE_CHECKING:
    from firmware.build import Built

PORT = Path(__file__).resolve().parent
SERIAL = PORT.parent / "serial"
GATE_RING = PORT.parent.parent / "engine" / "control" / "gate_ring.c"
TOOL = "arm-none-eabi-"
GUARD_BYTES = 1024
"""At the start of ITCM (sections.ld)."""
BOOTLOADER_BYTES = 32 * 1024
"""Of AXI, that the Daisy bootloader works in while it copies an sram image."""
DMA_BYTES = 32 * 1024
"""Of D2, uncached, for libDaisy's DMA buffers."""
EARLY = re.compile(r"(memcpy|memmove|memset|__aeabi_mem\w+)$")
"""Called by start-up code, libDaisy and boot_copy itself, before ITCM has anything in it."""
STACK_BYTES = 16 * 1024
"""The least that DTCM must leave."""

MCU = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard"]
# What libDaisy's own core/Makefile compiles programs with.
LIBDAISY_DEFINES = [
    *("-DUSE_HAL_DRIVER", "-DSTM32H750xx", "-DHSE_VALUE=16000000", "-DCORE_CM7", "-DSTM32H750IB"),
    *("-DARM_MATH_CM7", "-DUSE_FULL_LL_DRIVER", "-DFILEIO_ENABLE_FATFS_READER"),
]
LIBDAISY_INCLUDES = (
    *("", "src", "src/sys", "src/usbd", "src/usbh", "Drivers/CMSIS_5/CMSIS/Core/Include"),
    *("Drivers/CMSIS-Device/ST/STM32H7xx/Include", "Drivers/STM32H7xx_HAL_Driver/Inc"),
    *("Middlewares/ST/STM32_USB_Device_Library/Core/Inc", "Middlewares/ST/STM32_USB_Host_Library/Core/Inc"),
    "Middlewares/Patched/ST/STM32_USB_Device_Library/Class/CDC/Inc",
    *("Middlewares/ST/STM32_USB_Host_Library/Class/MSC/Inc", "Middlewares/Third_Party/FatFs/src"),
    "Middlewares/ST/STM32_USB_Host_Library/Class/MIDI/Inc",
)
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
CXX_FLAGS = ["-std=gnu++17", "-O2", "-fno-exceptions", "-fno-rtti", "-ffunction-sections", "-fdata-sections"]
C_FLAGS = ["-std=c11", "-O2", "-Wconversion", "-Wdouble-promotion", "-ffunction-sections", "-fdata-sections"]


@dataclass(frozen=True)
class RegionUse:
    """Bytes of one region that the image takes, and what there are."""

    name: str
    used: int
    bytes: int

    @property
    def left(self) -> int:
        """Bytes left."""
        return self.bytes - self.used


@dataclass(frozen=True)
class DaisyImage:
    """A linked image: what to flash, its ELF for a debugger, and where its bytes went."""

    path: Path
    elf: Path
    boot: Boot
    bytes: int
    regions: tuple[RegionUse, ...]
    stack_bytes: int
    hot: tuple[str, ...]
    """Objects whose code runs from ITCM."""

    def describe(self) -> ImageReport:
        """What `report.json` says of the image."""
        return {
            "boot": self.boot.name,
            "bytes": self.bytes,
            "of": self.boot.bytes,
            "regions": {use.name: {"used": use.used, "left": use.left} for use in self.regions},
            "stack_bytes": self.stack_bytes,
            "runs_from_itcm": list(self.hot),
        }


def libdaisy_dir() -> Path:
    """Return the builder's libDaisy, built; refuse in words where it is not."""
    named = os.environ.get("LIBDAISY_DIR")
    if not named:
        raise ToolMissing(
            "a Daisy image needs libDaisy: build it by its own instructions, then set LIBDAISY_DIR to its "
            "folder."
        )
    path = Path(named)
    if not (path / "src" / "daisy.h").exists():
        raise ToolMissing(f"LIBDAISY_DIR is {path}, and there is no libDaisy (src/daisy.h) in it.")
    if not (path / "build" / "libdaisy.a").exists():
        raise Refusal(f"libDaisy in {path} is not built yet (build/libdaisy.a is missing); run make there.")
    return path


def _tool(name: str) -> str:
    found = shutil.which(TOOL + name)
    if found is None:
        raise ToolMissing(
            f"{TOOL}{name} is not installed; `sudo apt install gcc-arm-none-eabi libnewlib-arm-none-eabi`."
        )
    return found


def check_tools() -> None:
    """Refuse where libDaisy or the toolchain is missing; `vaectrol build` asks before it begins.

    Raises
    ------
    ToolMissing
        Which, how to get it, and what can be made without.
    """
    try:
        libdaisy_dir()
        for name in ("g++", "gcc", "ar", "objcopy", "size", "nm"):
            _tool(name)
    except ToolMissing as why:
        raise ToolMissing(f"{why} `--objects-only` makes everything but the image without it.") from None


def _run(command: Sequence[object], what: str) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines()
        # the linker's own last word is only that it failed: what overflowed or is missing stands before it
        told = [
            line for part in ("overflowed", "undefined reference", "error") for line in lines if part in line
        ]
        kind = DoesNotFit if any("overflowed" in line for line in lines) else Refusal
        raise kind(f"{what} failed: {(told or lines or ['no message'])[0]}\n{done.stderr}")
    return done.stdout


def regions_script(board: Board, boot: Boot) -> str:
    """Write `regions.ld`: the board's memory as the linker sees it, and where the image lies."""
    at = {region.name: region for region in board.memory}
    axi_bytes = at["axi"].bytes - (BOOTLOADER_BYTES if boot.name == "sram" else 0)
    image = {"sram": "AXI", "qspi": "QSPI", "none": "FLASH"}[boot.name]
    rows = [
        ("FLASH", 0x0800_0000, 128 * 1024),
        ("ITCM", at["itcm"].address, at["itcm"].bytes),
        ("DTCM", at["dtcm"].address, at["dtcm"].bytes),
        ("AXI", at["axi"].address, axi_bytes),
        ("D2_DMA", at["d2"].address, DMA_BYTES),
        ("D2", at["d2"].address + DMA_BYTES, at["d2"].bytes - DMA_BYTES),
        ("BACKUP_SRAM", 0x3880_0000, 4 * 1024),
        ("SDRAM", at["sdram"].address, at["sdram"].bytes),
        ("QSPI", at["qspi"].address, at["qspi"].bytes - board.storage_bytes),
    ]
    lines = [
        f"    {name:<11} (rwx) : ORIGIN = 0x{origin:08X}, LENGTH = {length}" for name, origin, length in rows
    ]
    head = f"/* {board.title}, {boot.name} image: generated by firmware/ports/daisy/link.py */"
    return "\n".join([head, "MEMORY", "{", *lines, "}", f'REGION_ALIAS("IMAGE", {image});', ""])


def _text_bytes(item: Path) -> int:
    rows = _run([_tool("size"), "-A", item], "Measuring objects").splitlines()
    sections = (row.split() for row in rows)
    return sum(int(s[1]) for s in sections if len(s) >= 2 and re.match(r"\.(text|itcm)", s[0]))


def _defined(item: Path) -> list[str]:
    rows = (
        row.split() for row in _run([_tool("nm"), "--defined-only", item], "Reading symbols").splitlines()
    )
    return [row[2] for row in rows if len(row) == 3]


def choose_hot(objects: Sequence[Path], room_bytes: int) -> list[Path]:
    """Objects whose code fits into ITCM: kernels first, then the rest, the smallest first within each.

    Kernels run once per layer and block, so a byte of theirs is fetched more often than any other. What is
    called before ITCM is filled (`EARLY`) stays in the image.
    """
    kernels = {path.stem for path in kernel_sources("m7")}
    objects = [item for item in objects if not any(EARLY.match(name) for name in _defined(item))]
    sizes = {item: _text_bytes(item) for item in objects}
    hot: list[Path] = []
    for item in sorted(objects, key=lambda item: (item.name.split(".")[0] not in kernels, sizes[item])):
        need = sizes[item] + 16 * 4  # alignment
        if need <= room_bytes:
            hot.append(item)
            room_bytes -= need
    return hot


def compile_port(
    board: Board, boot: Boot, identity: dict[str, str], out: Path, bench: bool = False
) -> list[Path]:
    """Compile the port and the serial protocol against the builder's libDaisy; objects in `out`."""
    library = libdaisy_dir()
    out.mkdir(parents=True, exist_ok=True)
    (out / "board.h").write_text(board_tables(board))
    text = json.dumps(identity, separators=(",", ":"))
    (out / "vaectrol_identity.h").write_text(f"#define VAECTROL_IDENTITY {json.dumps(text)}\n")
    defines = [*LIBDAISY_DEFINES, *([] if boot.name == "none" else ["-DBOOT_APP"])]
    defines += ["-DVAECTROL_BOOT_QSPI"] if boot.name == "qspi" else []
    defines += ["-DVAECTROL_BENCH"] if bench else []
    theirs = [word for folder in LIBDAISY_INCLUDES for word in ("-isystem", str(library / folder))]
    objects = []
    for source in [
        *sorted(PORT.glob("*.cpp")),
        *sorted(PORT.glob("*.c")),
        *sorted(SERIAL.glob("*.c")),
        GATE_RING,
    ]:
        target = out / f"{source.stem}.port.o"
        common = [*MCU, *WARNINGS, *defines, "-I", str(out), "-c", source, "-o", target]
        if source.suffix == ".cpp":
            # some HAL headers need the device header before them, as libDaisy's own Makefile has it
            extra = ["-include", "stm32h7xx.h", "-include", str(out / "vaectrol_identity.h"), "-Wno-register"]
            command = [_tool("g++"), *CXX_FLAGS, *extra, *theirs, *common]
        else:
            command = [_tool("gcc"), *C_FLAGS, *common]
        _run(command, f"Compiling {source.name}")
        objects.append(target)
    return objects


def link_image(
    objects: Sequence[Path],
    board: Board,
    identity: dict[str, str],
    out: Path,
    name: str,
    boot_name: str,
    bench: bool = False,
    model_stack: int = 0,
) -> DaisyImage:
    """Link one image.

    Parameters
    ----------
    objects : sequence of Path
        The engine, the instrument and the model, compiled for the M7.
    identity : dict of str
        instrument, model, version; board and boot are added.
    out, name : folder and file name (without suffix) of the result.
    boot_name : `sram`, `qspi` or `none`.
    bench : count cycles per layer.
    model_stack : bytes of the stack that a model takes for what passes within a chunk.

    Raises
    ------
    Refusal
        Tools or libDaisy missing, a compiler's complaint, or a region that is too small, with its numbers.
    """
    library = libdaisy_dir()
    boot = next((entry for entry in board.boots if entry.name == boot_name), None)
    if boot is None:
        raise Refusal(
            f"{board.name} has no boot mode {boot_name!r}; it has {', '.join(b.name for b in board.boots)}."
        )
    work = out / f"{name}.{boot_name}"
    work.mkdir(parents=True, exist_ok=True)
    identity = {"board": board.name, "boot": boot_name, **identity}
    port = compile_port(board, boot, identity, work, bench)
    if not any(item.stem == GATE_RING.stem for item in objects):
        raise Refusal(f"{name}: the engine's {GATE_RING.name} is not among its objects; the port needs it.")
    (work / "regions.ld").write_text(regions_script(board, boot))
    hot = choose_hot(objects, board.region("itcm").bytes - GUARD_BYTES)
    archives = []
    for archive, members in (
        ("libhot.a", hot),
        ("libengine.a", [item for item in objects if item not in hot]),
    ):
        (work / archive).unlink(missing_ok=True)
        if members:
            _run([_tool("ar"), "rcs", work / archive, *members], f"Making {archive}")
            archives.append(work / archive)
    elf, binary = work / f"{name}.elf", out / f"{name}.bin"
    _run(
        [
            *(
                _tool("g++"),
                *MCU,
                "--specs=nano.specs",
                "--specs=nosys.specs",
                "-L",
                work,
                "-T",
                PORT / "sections.ld",
            ),
            *("-Wl,--gc-sections", "-Wl,--undefined=vaectrol_identity", "-Wl,--no-warn-rwx-segments"),
            *("-Wl,--no-enum-size-warning", f"-Wl,-Map={work / f'{name}.map'}", *port),
            *(
                "-Wl,--start-group",
                *archives,
                library / "build" / "libdaisy.a",
                "-lc",
                "-lm",
                "-lgcc",
                "-lnosys",
            ),
            *("-Wl,--end-group", "-o", elf),
        ],
        f"Linking {name} for {board.name} ({boot_name})",
    )
    _run([_tool("objcopy"), "-O", "binary", "-S", elf, binary], "Writing the image")
    regions, stack = _measure(elf, board, boot)
    if stack < STACK_BYTES + model_stack:
        raise Refusal(
            f"{name} leaves {stack:,} bytes of DTCM for the stack on {board.name}, and it needs "
            f"{STACK_BYTES + model_stack:,}; use a smaller model or move state to another region."
        )
    return DaisyImage(
        path=binary,
        elf=elf,
        boot=boot,
        bytes=binary.stat().st_size,
        regions=regions,
        stack_bytes=stack,
        hot=tuple(item.name for item in hot),
    )


def _measure(elf: Path, board: Board, boot: Boot) -> tuple[tuple[RegionUse, ...], int]:
    """Bytes of each region by the ELF's sections, and what DTCM leaves for the stack."""
    table = (row.split() for row in _run([_tool("size"), "-A", elf], "Measuring the image").splitlines())
    sections = [(int(r[1]), int(r[2])) for r in table if len(r) == 3 and r[1].isdigit() and r[2].isdigit()]
    uses = []
    for region in board.memory:
        size = region.bytes - (BOOTLOADER_BYTES if region.name == "axi" and boot.name == "sram" else 0)
        inside = range(region.address, region.address + region.bytes)
        # ELF sections without an address (debugging) show as address 0, where ITCM is: only named ones count
        used = sum(length for length, at in sections if at in inside and (at or length == GUARD_BYTES))
        uses.append(RegionUse(region.name, used, size))
    rows = (row.split() for row in _run([_tool("nm"), elf], "Reading symbols").splitlines())
    symbols = {row[2]: int(row[0], 16) for row in rows if len(row) == 3}
    itcm = board.region("itcm")
    for name, address in symbols.items():
        if EARLY.match(name) and address in range(itcm.address, itcm.address + itcm.bytes):
            raise Refusal(
                f"{elf.name}: {name} lies in ITCM, and start-up code needs it before ITCM is filled."
            )
    end = symbols["vx_stack_end"]
    dtcm = board.region("dtcm")
    return tuple(uses), dtcm.address + dtcm.bytes - end


def link(built: Built, out: Path) -> Path:
    """Link what `firmware.build` built and add the sizes to its report. Returns the `.bin` to flash."""
    image = link_built(built, out)
    built.report["linked"] = image.describe()
    return image.path


def link_built(
    built: Built, out: Path, boots: Sequence[str] = ("sram", "qspi"), bench: bool = False
) -> DaisyImage:
    """Link in the first of `boots` that fits: AXI is faster than the flash, so sram comes first.

    With `bench`, everything is compiled again with the compiler's marks turned into counts
    (`bench_counter.h`).
    """
    identity = {"instrument": built.name, "model": built.model_hash, "version": built.version}
    name = f"{built.name}-{built.board.name}{'-bench' if bench else ''}"
    objects = _counting_objects(built, out / f"{name}.objects") if bench else built.objects
    refusal: Refusal = Refusal(f"{built.board.name} starts no Daisy image.")
    for boot_name in boots:
        try:
            return link_image(objects, built.board, identity, out, name, boot_name, bench, built.model_stack)
        except DoesNotFit as why:
            refusal = why
    raise refusal


def _counting_objects(built: Built, out: Path) -> list[Path]:
    from firmware.toolchain import compile_object

    extra = [f"-I{folder}" for folder in built.include_dirs]
    extra += ["-DVAECTROL_MARK(layer)=vaectrol_mark(layer)", "-include", str(PORT / "mark.h")]
    c_sources = [source for source in built.sources if source.suffix == ".c"]
    others = [source for source in built.sources if source.suffix != ".c"]
    return [*compile_object(c_sources, "m7", out, extra=extra), *compile_object(others, "m7", out)]
