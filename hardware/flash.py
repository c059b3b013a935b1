"""Bring an image into a Daisy with dfu-util, and say in words what dfu-util means.

Both bootloaders have the same USB numbers (0483:df11); they are told apart by their DfuSe names. dfu-util's
exit status is no help with `:leave`: the device resets before it answers the last status request, which gives
74 after a success. So its lines are read instead.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import IO

from common.refusal import Refusal
from hardware.image import Image
from hardware.protocol import Hello, Link, candidate_ports

USB_ID = "0483:df11"
UDEV_RULE = 'SUBSYSTEM=="usb", ATTR{idVendor}=="0483", ATTR{idProduct}=="df11", MODE="0666"'
SUCCESS_LINE = "File downloaded successfully"
FOUND = re.compile(
    r'Found DFU: \[0483:df11\].*?path="(?P<path>[^"]*)".*?alt=(?P<alt>\d+), name="(?P<name>[^"]*)"'
)
PERCENT = re.compile(r"(\d{1,3})%")
UNREADABLE_NAME = "UNKNOWN"
"""What dfu-util up to 0.9 calls a device whose strings it was not let read."""
CANNOT_OPEN = re.compile(
    r"cannot open (?:dfu )?device(?: (?P<id>[0-9a-f]{4}:[0-9a-f]{4}))?[^\n]*?"
    r"(?P<code>LIBUSB_ERROR_\w+)?[^\n\w]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""dfu-util 0.8 and 0.9 give no reason, 0.5 to 0.7 no number either, 0.10 and later give libusb's code."""
PERMISSION_DENIED = re.compile(
    r"LIBUSB_ERROR_ACCESS|permission denied|requires write access to USB device", re.IGNORECASE
)


class Bootloader(Enum):
    """The two programs that may answer as 0483:df11."""

    ST = "the ST bootloader"
    DAISY = "the Daisy bootloader"


NAMES = {Bootloader.ST: "@Internal Flash", Bootloader.DAISY: "@Flash"}
"""How their DfuSe names begin."""
HOW_TO_ENTER = {
    Bootloader.DAISY: "tap RESET and, while the LED pulses, run this again (the window is 2 to 2.5 s)",
    Bootloader.ST: "hold BOOT, tap RESET, let go of BOOT, and run this again",
}


@dataclass(frozen=True)
class Device:
    """One module in a bootloader."""

    path: str
    name: str

    @property
    def bootloader(self) -> Bootloader | None:
        """Which one it is by its DfuSe name; None for neither."""
        return next((one for one, name in NAMES.items() if self.name.startswith(name)), None)


@dataclass(frozen=True)
class Flashed:
    """What came of it. `hello` is what the module answered afterwards; None where nobody waited for it."""

    device: Device
    bytes: int
    hello: Hello | None


def needed(image: Image) -> Bootloader:
    """Which of the two writes an image."""
    return Bootloader.ST if image.boot.name == "none" else Bootloader.DAISY


def _tool(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Refusal(
            f"{program} is not installed; `sudo apt install dfu-util` (Debian, Raspberry Pi OS), "
            "`brew install dfu-util` (macOS), or put its folder on the PATH."
        )
    return found


def list_devices(program: str = "dfu-util") -> list[Device]:
    """Modules that wait in a bootloader, one entry each (alternate setting 0).

    Raises
    ------
    Refusal
        dfu-util is absent, or may not open the device.
    """
    done = subprocess.run(
        [_tool(program), "-l", "-d", f",{USB_ID}"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    text = done.stdout + done.stderr
    found = [Device(m["path"], m["name"]) for m in FOUND.finditer(text) if m["alt"] == "0"]
    if not found:
        _refuse_when_closed(text)
        if f"Found DFU: [{USB_ID}]" in text:
            raise Refusal(
                "a bootloader is there, but this dfu-util is too old to say at which USB path; "
                "install dfu-util 0.9 or later."
            )
    return found


def _refuse_when_closed(text: str) -> None:
    """Refuse when a bootloader was seen but could not be opened, in whichever words dfu-util says so."""
    if PERMISSION_DENIED.search(text):
        raise _forbidden("permission denied")
    for line in CANNOT_OPEN.finditer(text):
        if line["id"] not in (None, USB_ID):
            continue
        code = line["code"]
        if code is None:
            raise _forbidden(f"dfu-util says {line[0].strip()!r}")
        if code in ("LIBUSB_ERROR_NOT_SUPPORTED", "LIBUSB_ERROR_NOT_FOUND"):
            raise Refusal(
                f"a bootloader is there, but it has no driver that dfu-util can use ({code}); on Windows "
                "give it WinUSB with Zadig, and plug the module in again."
            )
        if code != "LIBUSB_ERROR_NO_DEVICE":
            raise Refusal(
                f"a bootloader is there, but it could not be opened ({code}); close every other program "
                "that uses it, plug the module in again, and run this again."
            )


def _forbidden(reason: str) -> Refusal:
    return Refusal(
        f"a bootloader is there, but this user may not open it ({reason}); put the line "
        f"{UDEV_RULE} into /etc/udev/rules.d/50-daisy.rules, run `sudo udevadm control --reload-rules`, "
        "and plug the module in again."
    )


def choose_device(devices: list[Device], image: Image, path: str | None = None) -> Device:
    """Return the one module to write to; refuse none, several, and the wrong bootloader."""
    if path is not None:
        devices = [device for device in devices if device.path == path]
    wanted = needed(image)
    if not devices:
        where = f" at USB path {path}" if path is not None else ""
        raise Refusal(f"no bootloader found{where}: {HOW_TO_ENTER[wanted]}.")
    if len(devices) > 1:
        places = ", ".join(f"{device.path} ({device.name.split('/')[0].strip()})" for device in devices)
        raise Refusal(
            f"{len(devices)} modules wait in a bootloader: {places}; choose one with --path or unplug one."
        )
    device = devices[0]
    if device.bootloader is wanted:
        return device
    if device.bootloader is Bootloader.ST:
        raise Refusal(
            f"this is the ST bootloader, and {image.path.name} is written by the Daisy bootloader: tap RESET "
            "alone; if the LED does not pulse then, install the Daisy bootloader first (hardware/README.md, "
            "Flashing)."
        )
    if device.bootloader is Bootloader.DAISY:
        raise Refusal(
            f"this is the Daisy bootloader, and {image.path.name} goes into the internal flash: "
            f"{HOW_TO_ENTER[Bootloader.ST]}."
        )
    if device.name == UNREADABLE_NAME:
        raise _forbidden("dfu-util cannot read its name")
    raise Refusal(
        f"{USB_ID} at {device.path} calls itself {device.name!r}, which is no Daisy; unplug it, or choose "
        "the module with --path."
    )


def write_image(
    image: Image,
    device: Device,
    progress: Callable[[str, int], None] = lambda *_: None,
    program: str = "dfu-util",
) -> None:
    """Run dfu-util and read what it says.

    Parameters
    ----------
    progress : callable
        Gets the stage (`Erase`, `Download`) and its percentage.

    Raises
    ------
    Refusal
        What went wrong and in which state it leaves the module.
    """
    command = [_tool(program), "-a", "0", "-s", f"0x{image.boot.address:08X}:leave"]
    command += ["-D", str(image.path), "-d", f",{USB_ID}", "-p", device.path]
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as run:
        assert run.stdout is not None
        for line in _lines(run.stdout):
            lines.append(line)
            percent = PERCENT.search(line)
            stage = line.split(None, 1)[0] if line.strip() else ""
            if percent and stage in ("Erase", "Download"):
                progress(stage, int(percent[1]))
    explain(lines, run.returncode, image)


def _lines(stream: IO[str]) -> Iterator[str]:
    """Split at line feeds and at the carriage returns that progress bars use."""
    held = ""
    while chunk := stream.read(1):
        if chunk in "\r\n":
            if held:
                yield held
            held = ""
        else:
            held += chunk
    if held:
        yield held


def explain(lines: list[str], status: int, image: Image) -> None:
    """Return when the image is in; raise a `Refusal` in words when it is not."""
    text = "\n".join(lines)
    if SUCCESS_LINE in text:
        return  # what follows is the reset that :leave asked for, whatever the exit status (74, as a rule)
    again = f"the bootloader itself is untouched: {HOW_TO_ENTER[needed(image)]}"
    if "is not writeable" in text:
        raise Refusal(
            f"dfu-util says {_last(lines, 'is not writeable')!r}: the bootloader that answered cannot write "
            f"0x{image.boot.address:08X}, so it is the wrong one for {image.path.name}; nothing was written; "
            f"{HOW_TO_ENTER[needed(image)]}."
        )
    _refuse_when_closed(text)
    if "No DFU capable USB device available" in text:
        raise Refusal(f"the bootloader left before dfu-util reached it; {HOW_TO_ENTER[needed(image)]}.")
    if "More than one DFU capable USB device" in text:
        raise Refusal(
            "more than one module waits in a bootloader; choose one with --path or unplug the others."
        )
    if "LIBUSB_ERROR_NO_DEVICE" in text or "LIBUSB_ERROR_IO" in text or "LIBUSB_ERROR_PIPE" in text:
        raise Refusal(f"the module went away while it was written; the image in it is not whole; {again}.")
    if "errADDRESS" in text or "out of range" in text:
        raise Refusal(f"the bootloader refused the address 0x{image.boot.address:08X}; {again}.")
    last = next((line for line in reversed(lines) if line.strip()), "nothing")
    raise Refusal(f"dfu-util stopped with exit status {status} and said {last!r}; {again}.")


def _last(lines: list[str], part: str) -> str:
    return next(line for line in reversed(lines) if part in line)


def wait_for_module(image: Image, before: set[str], port: str | None, limit_s: float = 10.0) -> Hello:
    """Wait until the new program answers, and check that it is the one that was written.

    Parameters
    ----------
    before : set of str
        Serial ports that were there before; the module's is a new one, unless `port` names it.
    """
    deadline = time.monotonic() + limit_s
    reason = "no new serial port appeared"
    while time.monotonic() < deadline:
        ports = [port] if port else [p.device for p in candidate_ports() if p.device not in before]
        for device in ports:
            try:
                with Link(device, timeout_s=1.0) as link:
                    hello = link.hello()
            except Refusal as refusal:
                reason = str(refusal)
                continue
            _same(image, hello)
            return hello
        time.sleep(0.2)
    raise Refusal(
        f"the image was written, but the module did not answer within {limit_s:g} s "
        f"({reason.rstrip('.')}); tap RESET, wait two seconds, and run `vaectrol monitor`."
    )


def _same(image: Image, hello: Hello) -> None:
    wanted = (image.identity.board, image.identity.version, image.identity.model)
    if (hello.board, hello.version, hello.model) != wanted:
        raise Refusal(
            f"the module answers with {hello.instrument} {hello.version} for {hello.board} "
            f"(model {hello.model}), not with what was written ({image.identity.instrument} "
            f"{image.identity.version}, model {image.identity.model}); write it again."
        )


def flash(
    image: Image,
    *,
    port: str | None = None,
    path: str | None = None,
    wait: bool = True,
    program: str = "dfu-util",
    progress: Callable[[str, int], None] = lambda *_: None,
) -> Flashed:
    """Do the whole of it: find the bootloader, write, wait for the program, read its version back.

    A module that runs a program of ours and answers on its serial port is asked to restart into its
    bootloader, after its board has been compared with the image's.
    """
    devices = list_devices(program)
    if not devices and _restart_running_module(image, port):
        devices = _wait_for_bootloader(program)
    device = choose_device(devices, image, path)
    before = {p.device for p in candidate_ports()}
    write_image(image, device, progress, program)
    hello = wait_for_module(image, before, port) if wait else None
    return Flashed(device, len(image.data), hello)


def _restart_running_module(image: Image, port: str | None) -> bool:
    ports = [port] if port else [p.device for p in candidate_ports()]
    if not ports:
        return False
    if len(ports) > 1:
        raise Refusal(
            f"{len(ports)} boards found ({', '.join(ports)}); choose one with --port or unplug the others."
        )
    with Link(ports[0]) as link:
        hello = link.hello()
        if hello.board != image.identity.board:
            raise Refusal(
                f"the module at {ports[0]} is a {hello.board}, and {image.path.name} is built for "
                f"{image.identity.board}; nothing was written."
            )
        link.ask("reboot", to="rom" if needed(image) is Bootloader.ST else "bootloader")
    return True


def _wait_for_bootloader(program: str, limit_s: float = 6.0) -> list[Device]:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        devices = list_devices(program)
        if devices:
            return devices
        time.sleep(0.2)
    return []
