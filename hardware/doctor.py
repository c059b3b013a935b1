"""What is here and what is missing: versions, tools from outside, a module's cable, room on the disk."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.refusal import Refusal
from hardware.flash import UDEV_RULE
from hardware.protocol import candidate_ports

PACKAGES = {
    "torch": "training",
    "onnx": "model files",
    "onnxruntime": "the reference that compiled models are held to",
    "numpy": "everything",
    "librosa": "reading sounds",
    "soundfile": "reading and writing sounds",
    "ziglang": "the compiler for this computer, the Daisy and the Pi",
    "unicorn": "the emulated module",
    "pyserial": "talking to a module",
    "typer": "the command line",
}
OPTIONAL_PACKAGES = {
    "ai-edge-litert": "checks TFLite exports",
    "aiohttp": "the page for a phone (bridge --phone)",
    "cryptography": "its certificate (bridge --phone)",
    "segno": "its QR code (bridge --phone)",
    "python-rtmidi": "MIDI in and out (play --midi-port, bridge --midi)",
    "sounddevice": "live playing through a sound card (play --live)",
}
TOOLS = {
    "arm-none-eabi-g++": "links an image for a Daisy "
    "(apt install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib)",
    "dfu-util": "flashes a Daisy (apt install dfu-util)",
    "qemu-aarch64": "tests the Pi's code here (apt install qemu-user)",
    "node": "tests WebAssembly (apt install nodejs)",
    "gcc": "sanitizers for fuzzing (apt install gcc)",
}
PYTHON = (3, 11)
NEEDED_BYTES = 1_000_000_000
"""A training with its data set and reports takes some hundreds of megabytes."""
RULES = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes
    ----------
    name : str
        What was looked for.
    ok : bool
        Whether it is there.
    required : bool
        Whether nothing works without it.
    says : str
        Version or place; or what is missing and what it would add.
    """

    name: str
    ok: bool
    required: bool
    says: str

    def line(self) -> str:
        """The line as it is printed."""
        mark = "ok     " if self.ok else "MISSING" if self.required else "absent "
        return f"{mark}  {self.name:<18} {self.says}"


def examine() -> list[Finding]:
    """Look at everything."""
    return [
        _python(),
        *(_package(name, adds, required=True) for name, adds in PACKAGES.items()),
        *(_package(name, adds, required=False) for name, adds in OPTIONAL_PACKAGES.items()),
        *(_tool(name, adds) for name, adds in TOOLS.items()),
        _libdaisy(),
        *_usb_rule(),
        _modules(),
        _disk(Path.cwd()),
    ]


def _python() -> Finding:
    version = sys.version.split()[0]
    ok = sys.version_info >= PYTHON
    return Finding("python", ok, True, version if ok else f"{version}; 3.11 or newer is needed")


def _package(name: str, adds: str, required: bool) -> Finding:
    try:
        return Finding(name, True, required, f"{importlib.metadata.version(name)}: {adds}")
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, required, f"{adds} (pip install {name})")


def _tool(name: str, adds: str) -> Finding:
    path = shutil.which(name)
    return Finding(name, path is not None, False, f"{path}: {adds.split(' (')[0]}" if path else adds)


def _libdaisy() -> Finding:
    """Say whether ``LIBDAISY_DIR`` names a libDaisy that was built."""
    place = os.environ.get("LIBDAISY_DIR", "")
    if not place:
        return Finding("libDaisy", False, False, "set LIBDAISY_DIR to your built libDaisy to link images")
    if not (Path(place) / "build" / "libdaisy.a").is_file():
        return Finding("libDaisy", False, False, f"{place} has no build/libdaisy.a; run make in it")
    return Finding("libDaisy", True, False, place)


def _usb_rule() -> Iterator[Finding]:
    """Say whether this user may open a bootloader, where the system asks for a rule."""
    if not sys.platform.startswith("linux") or shutil.which("dfu-util") is None:
        return
    rules = (path for folder in RULES for path in Path(folder).glob("*.rules"))
    found = next((path for path in rules if _allows(path)), None)
    if found is not None:
        yield Finding("dfu permission", True, False, str(found))
    elif os.geteuid() == 0:
        yield Finding("dfu permission", True, False, "root may open every device")
    else:
        yield Finding(
            "dfu permission", False, False, f"put {UDEV_RULE} into /etc/udev/rules.d/50-daisy.rules"
        )


def _allows(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False
    return "0483" in text and "df11" in text


def _modules() -> Finding:
    try:
        devices = [port.device for port in candidate_ports()]
    except (Refusal, OSError, ImportError) as error:
        return Finding("serial devices", False, False, str(error))
    closed = [device for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        return Finding("serial devices", False, False, f"{closed[0]}: join the group dialout to open it")
    said = ", ".join(devices) or "no module is connected (USB 0483:5740)"
    return Finding("serial devices", bool(devices), False, said)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    enough = free >= NEEDED_BYTES
    return Finding("disk", enough, True, f"{free / 1e9:.1f} GB free" + ("" if enough else "; 1 GB is needed"))
