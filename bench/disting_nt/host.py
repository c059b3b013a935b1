"""The module around a plug-in: the interface's functions, memory, instances, parameters, buses, MIDI.

The plug-in's own code runs in the emulated Cortex-M7 of `bench.m7`; what it calls of the module is
answered here. Every allocation lies between guards, and what is taken back is overwritten, so that a
stray write or a use after removal shows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.disting_nt.load import Loaded, load
from bench.m7.elf import Elf
from bench.m7.elf import Section as ImageSection
from bench.m7.elf import Symbol as ImageSymbol
from bench.m7.emulator import Call, Machine
from common.refusal import DoesNotFit, Refusal
from firmware.ports.disting_nt.link import ENTRY
from firmware.ports.disting_nt.object_file import ObjectFile, read_object
from hardware.board import Board

NEWEST_VERSION, OLDEST_VERSION = 13, 4
"""Of the interface: what this host knows, and what the 13th says it is compatible with."""
BUSES = 64
COMMON_PARAMETERS = 1
"""The module's own before the plug-in's: bypass."""
REGIONS = {"sram": "axi", "dram": "sdram", "dtc": "dtcm", "itc": "itcm"}
"""The interface's regions, and the board's."""
IMAGE_REGION = "axi"
"""Where the object is assumed to lie."""
FASTEST = 2
"""Of the specification *Fast memory*: 0 nothing, 1 the state, 2 also the busiest tables."""
STUB_BYTES = 4
GUARD = b"\xa5" * 32
FREED = 0xDD
WORK_BYTES = 8192
HOST_BYTES = 96 * 1024
"""Before the object: stubs, globals, screen, work buffer, buses."""
FACTORY_WORDS = (
    *("guid", "name", "description", "specifications", "specification", "static_requirements", "initialise"),
    *(
        "requirements",
        "construct",
        "parameter_changed",
        "step",
        "draw",
        "midi_realtime",
        "midi_message",
        "tags",
    ),
    *("has_custom_ui", "custom_ui", "setup_ui", "serialise", "deserialise", "midi_sysex", "parameter_prefix"),
    "parameter_string",
)
FUNCTIONS = (
    *("NT_getCpuCycleCount", "NT_algorithmIndex", "NT_parameterOffset", "NT_setParameterFromAudio"),
    *("NT_drawText", "NT_drawShapeI", "NT_sendMidiSysEx"),
    *("_ZN14_NT_jsonStream13addMemberNameEPKc", "_ZN14_NT_jsonStream9addStringEPKc"),
    *("_ZN13_NT_jsonParse21numberOfObjectMembersERi", "_ZN13_NT_jsonParse9matchNameEPKc"),
    *("_ZN13_NT_jsonParse10skipMemberEv", "_ZN13_NT_jsonParse6stringERPKc"),
)
DATA = {"NT_globals": 24}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a plug-in, as its table in memory says."""

    name: str
    low: int
    high: int
    default: int
    unit: int
    names: tuple[str, ...]


@dataclass
class Shown:
    """What a draw put on the display: (x, y, text) and (shape, x0, y0, x1, y1, colour)."""

    texts: list[tuple[int, int, str]] = field(default_factory=list)
    shapes: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)


@dataclass
class Instance:
    """One algorithm in a preset.

    Attributes
    ----------
    address : int
        What ``construct`` returned.
    pieces : list of (region, address, bytes)
        Its memory.
    values : int
        Address of its parameter values, the plug-in's first.
    """

    address: int
    pieces: list[tuple[str, int, int]]
    values: int
    parameters: list[Parameter]
    pages: list[tuple[str, list[int]]]


class _Heap:
    """Memory of one region, in pieces between guards."""

    def __init__(self, name: str, begin: int, end: int):
        self.name, self.begin, self.end = name, begin, end
        self.taken: list[tuple[int, int]] = []

    def take(self, count: int) -> int:
        """Return the lowest address with room, not aligned to more than four bytes."""
        at = self.begin + len(GUARD) + 4
        for address, size in sorted(self.taken):
            if at + count + len(GUARD) <= address - len(GUARD):
                break
            at = -(-(address + size + 2 * len(GUARD)) // 8) * 8 + 4
        if at + count + len(GUARD) > self.end:
            used = sum(size for _, size in self.taken)
            raise DoesNotFit(
                f"INSUFFICIENT MEMORY: {count:,} bytes of {self.name} are asked for, and "
                f"{max(0, self.end - self.begin - used):,} are left."
            )
        self.taken.append((at, count))
        return at


class Module:
    """A module with one plug-in loaded.

    Parameters
    ----------
    found : ObjectFile
        The plug-in.
    board : Board
        Processor and memory; a disting_nt.
    rate_hz, most_frames : int
        Settings of the module.
    place : str
        Region of the board that the loader puts the object into; the real module's is not known.

    Raises
    ------
    Refusal
        A plug-in for another version of the interface, or one that offers no algorithm.
    """

    def __init__(
        self,
        found: ObjectFile,
        board: Board,
        rate_hz: int = 48_000,
        most_frames: int = 128,
        place: str = IMAGE_REGION,
    ):
        self.board, self.most_frames = board, most_frames
        region = board.region(place)
        base = self._base = region.address
        stubs = {name: base + STUB_BYTES * n | 1 for n, name in enumerate(FUNCTIONS)}
        at = base + STUB_BYTES * len(FUNCTIONS)
        data: dict[str, int] = {}
        for name, count in DATA.items():
            data[name] = at = -(-at // 16) * 16
            at += count
        self._globals = data["NT_globals"]
        self._work = -(-at // 16) * 16
        self.buses_at = self._work + WORK_BYTES
        self._scratch = self.buses_at + 4 * BUSES * most_frames
        plug_at = base + HOST_BYTES
        if self._scratch + 4096 > plug_at:
            raise Refusal(f"a step of {most_frames} frames is longer than this host knows.")
        free = region.left_bytes
        self.loaded: Loaded = load(found, plug_at, free, {**stubs, **data})
        elf = self._whole_image(self.loaded.elf, base)
        self.machine = Machine(elf, board)
        self.machine.intercept(base, base + STUB_BYTES * len(FUNCTIONS), self._answer)
        self.machine.fpscr = 0  # the module's own setting is not known; the plug-in asks for what it needs
        globals_ = struct.pack("<6I", rate_hz, most_frames, self._work, WORK_BYTES, 0, 0)
        self.machine.write(self._globals, globals_)
        self.image = self._image_bytes()
        self.heaps = {name: self._heap(other, place) for name, other in REGIONS.items()}
        self.instances: list[Instance] = []
        self.shown = Shown()
        self.sysex = bytearray()
        self.json: list[str] = []
        self._parsed: list[str] = []
        self._later: list[tuple[int, int, int]] = []
        self.calls = 0
        self.factory = self._find_factory(found.name)

    def _heap(self, name: str, place: str) -> _Heap:
        """Memory for instances: behind the object, or in front of what the firmware is assumed to have."""
        region = self.board.region(name)
        begin = -(-self.loaded.end // 32) * 32 if name == place else max(64, region.address)
        end = region.address + (region.bytes if name == place else region.left_bytes)
        return _Heap(region.title, begin, end)

    def _whole_image(self, elf: Elf, base: int) -> Elf:
        count = STUB_BYTES * len(FUNCTIONS)
        stub = struct.pack("<HH", 0x4770, 0xBF00)  # BX LR, NOP
        whole = Elf(elf.path, [(base, stub * len(FUNCTIONS)), *elf.segments])
        whole.sections = [ImageSection("host", base, count, True), *elf.sections]
        whole.symbols = [
            *(ImageSymbol(name, base + STUB_BYTES * n, STUB_BYTES, True) for n, name in enumerate(FUNCTIONS)),
            *elf.symbols,
        ]
        whole.mapping = [(base, "$t"), (base + count, "$d"), *elf.mapping]
        return whole

    def _image_bytes(self) -> bytes:
        return self.machine.read(self.loaded.begin, self.loaded.end - self.loaded.begin)

    # ---- loading ---------------------------------------------------------------------------------------

    def _entry(self, selector: int, data: int = 0) -> int:
        return self.machine.call(self.loaded.address[ENTRY], selector, data).value

    def _find_factory(self, name: str) -> dict[str, int]:
        if ENTRY not in self.loaded.address:
            raise Refusal(f"{name} defines no {ENTRY}, so the module finds nothing to call; is it a plug-in?")
        version = self._entry(0)
        if not OLDEST_VERSION <= version <= NEWEST_VERSION:
            newer = version > NEWEST_VERSION
            raise Refusal(
                f"{name} is made for version {version} of the plug-in interface, and this module knows "
                f"{OLDEST_VERSION} to {NEWEST_VERSION}; {'update the module' if newer else 'build it anew'}."
            )
        if self._entry(1) < 1:
            raise Refusal(f"{name} offers no algorithm.")
        address = self._entry(2, 0)
        words = struct.unpack(f"<{len(FACTORY_WORDS)}I", self.machine.read(address, 4 * len(FACTORY_WORDS)))
        return dict(zip(FACTORY_WORDS, words, strict=True))

    @property
    def name(self) -> str:
        """Name of the algorithm."""
        return self.text(self.factory["name"])

    @property
    def guid(self) -> str:
        """Four characters by which presets know it."""
        return struct.pack("<I", self.factory["guid"]).decode()

    def text(self, address: int) -> str:
        """Read a string."""
        found = bytearray()
        while (letter := self.machine.read(address + len(found), 1)) != b"\0":
            found += letter
        return found.decode()

    def requirements(self, level: int = FASTEST) -> dict[str, int]:
        """Ask what an instance needs, in bytes by region, and its number of parameters."""
        at = self._scratch
        self.machine.write(at, bytes(20))
        self.machine.write(at + 32, struct.pack("<i", level))
        self.machine.call(self.factory["requirements"], at, at + 32)
        names = ("parameters", "sram", "dram", "dtc", "itc")
        return dict(zip(names, struct.unpack("<5I", self.machine.read(at, 20)), strict=True))

    def add(self, level: int = FASTEST) -> Instance:
        """Construct an instance.

        Raises
        ------
        DoesNotFit
            A region has not so many bytes left.
        """
        needs = self.requirements(level)
        pieces: list[tuple[str, int, int]] = []
        for name in ("sram", "dram", "dtc", "itc"):
            if needs[name]:
                try:
                    address = self.heaps[name].take(needs[name])
                except DoesNotFit:
                    self._give_back(pieces)
                    raise
                self.machine.write(address - len(GUARD), GUARD)
                self.machine.write(address, bytes([FREED]) * needs[name])
                self.machine.write(address + needs[name], GUARD)
                pieces.append((name, address, needs[name]))
        places = {name: address for name, address, _ in pieces}
        at = self._scratch
        pointers = [places.get(name, 0) for name in ("sram", "dram", "dtc", "itc")]
        self.machine.write(at, struct.pack("<4I", *pointers))
        self.machine.write(at + 32, struct.pack("<5I", *needs.values()))
        self.machine.write(at + 64, struct.pack("<i", level))
        address = self.machine.call(self.factory["construct"], at, at + 32, at + 64).value
        parameters = self._parameters(address, needs["parameters"])
        values = self.heaps["sram"].take(2 * (COMMON_PARAMETERS + len(parameters)))
        pieces.append(("sram", values, 2 * (COMMON_PARAMETERS + len(parameters))))
        self.machine.write(values - len(GUARD), GUARD)
        own = values + 2 * COMMON_PARAMETERS
        self.machine.write(values, struct.pack("<h", 0))
        self.machine.write(own, np.array([p.default for p in parameters], np.int16))
        self.machine.write(values + pieces[-1][2], GUARD)
        self.machine.write(address + 8, struct.pack("<2I", values, own))
        made = Instance(address, pieces, own, parameters, self._pages(address))
        self.instances.append(made)
        for number in range(len(parameters)):
            self._changed(made, number)
        return made

    def remove(self, instance: Instance) -> None:
        """Take an instance's memory back.

        Raises
        ------
        Refusal
            Something was written beside its memory.
        """
        self.check(instance)
        self.instances.remove(instance)
        self._give_back(instance.pieces)

    def _give_back(self, pieces: Sequence[tuple[str, int, int]]) -> None:
        for name, address, count in pieces:
            self.machine.write(address, bytes([FREED]) * count)
            self.heaps[name].taken.remove((address, count))

    def check(self, instance: Instance) -> None:
        """Refuse a plug-in that wrote beside its memory, or over its own image."""
        for name, address, count in instance.pieces:
            before = self.machine.read(address - len(GUARD), len(GUARD))
            after = self.machine.read(address + count, len(GUARD))
            if before != GUARD or after != GUARD:
                raise Refusal(f"{self.name} wrote beside its {count:,} bytes of {name}.")
        if self._image_bytes() != self.image:
            raise Refusal(f"{self.name} wrote over its own code or tables.")

    def _parameters(self, address: int, count: int) -> list[Parameter]:
        (table,) = struct.unpack("<I", self.machine.read(address, 4))
        found = []
        for number in range(count):
            raw = self.machine.read(table + 16 * number, 16)
            name, low, high, default, unit, _, names = struct.unpack("<IhhhBBI", raw)
            strings: tuple[str, ...] = ()
            if names:
                pointers = struct.unpack(f"<{high + 1}I", self.machine.read(names, 4 * (high + 1)))
                strings = tuple(map(self.text, pointers))
            found.append(Parameter(self.text(name), low, high, default, unit, strings))
        return found

    def _pages(self, address: int) -> list[tuple[str, list[int]]]:
        (pages,) = struct.unpack("<I", self.machine.read(address + 4, 4))
        count, first = struct.unpack("<2I", self.machine.read(pages, 8))
        found = []
        for number in range(count):
            name, rows, listed = struct.unpack("<IBxxxI", self.machine.read(first + 12 * number, 12))
            found.append((self.text(name), list(self.machine.read(listed, rows))))
        return found

    # ---- playing ---------------------------------------------------------------------------------------

    def set(self, instance: Instance, parameter: int, value: int) -> None:
        """Change a parameter as the module's own pages would."""
        self.machine.write(instance.values + 2 * parameter, struct.pack("<h", value))
        self._changed(instance, parameter)

    def value(self, instance: Instance, parameter: int) -> int:
        """Return a parameter's value."""
        (found,) = struct.unpack("<h", self.machine.read(instance.values + 2 * parameter, 2))
        return int(found)

    def _changed(self, instance: Instance, parameter: int) -> None:
        if self.factory["parameter_changed"]:
            self._call("parameter_changed", instance.address, parameter)

    def string(self, instance: Instance, parameter: int, value: int) -> str:
        """Ask how a value is printed."""
        at = self._scratch
        length = self._call("parameter_string", instance.address, parameter, value & 0xFFFFFFFF, at).value
        found = self.text(at)
        assert len(found) == length < 64
        return found

    def midi(self, instance: Instance, message: Sequence[int]) -> None:
        """Send a message of one to three bytes."""
        if message[0] >= 0xF8:
            self._call("midi_realtime", instance.address, message[0])
        else:
            first, second = (*message[1:], 0, 0)[:2]
            self._call("midi_message", instance.address, message[0], first, second)

    def step(self, instance: Instance, buses: NDArray[np.float32], traced: bool = False) -> Call:
        """Render; `buses`, shape (BUSES, frames), float32, are read and written."""
        frames = buses.shape[1]
        self.machine.write(self.buses_at, np.ascontiguousarray(buses, np.float32))
        made = self._call("step", instance.address, self.buses_at, frames // 4, traced=traced)
        buses[:] = self.machine.read_array(self.buses_at, np.float32, BUSES * frames).reshape(BUSES, frames)
        return made

    def draw(self, instance: Instance) -> Shown:
        """Draw once; return what was put on the display."""
        self.shown = Shown()
        self._call("draw", instance.address)
        return self.shown

    def save(self, instance: Instance) -> list[str]:
        """Let an instance add to its preset: names and texts, one after the other."""
        self.json = []
        self._call("serialise", instance.address, self._scratch)
        return self.json

    def restore(self, instance: Instance, saved: Sequence[str]) -> bool:
        """Let an instance read its preset."""
        self._parsed = list(saved)
        return bool(self._call("deserialise", instance.address, self._scratch).value & 1)

    def _call(self, name: str, *args: int, traced: bool = False) -> Call:
        self.calls += 1
        made = self.machine.call(self.factory[name], *args, traced=traced)
        while self._later:
            algorithm, parameter, value = self._later.pop(0)
            self.set(self.instances[algorithm], parameter - COMMON_PARAMETERS, value)
        return made

    # ---- what the plug-in calls ------------------------------------------------------------------------

    def _answer(self, address: int) -> None:
        name = FUNCTIONS[(address - self._base) // STUB_BYTES]
        answers: dict[str, Callable[[], int]] = {
            "NT_getCpuCycleCount": lambda: self.machine.now & 0xFFFFFFFF,
            "NT_algorithmIndex": self._index,
            "NT_parameterOffset": lambda: COMMON_PARAMETERS,
            "NT_setParameterFromAudio": self._set_later,
            "NT_drawText": self._draw_text,
            "NT_drawShapeI": self._draw_shape,
            "NT_sendMidiSysEx": self._send_sysex,
            "_ZN14_NT_jsonStream13addMemberNameEPKc": self._add_json,
            "_ZN14_NT_jsonStream9addStringEPKc": self._add_json,
            "_ZN13_NT_jsonParse21numberOfObjectMembersERi": self._count_members,
            "_ZN13_NT_jsonParse9matchNameEPKc": self._match_name,
            "_ZN13_NT_jsonParse10skipMemberEv": self._skip_member,
            "_ZN13_NT_jsonParse6stringERPKc": self._parse_string,
        }
        self.machine.set_register(0, answers[name]() & 0xFFFFFFFF)

    def _argument(self, number: int) -> int:
        if number < 4:
            return self.machine.register(number)
        at = self.machine.register(13) + 4 * (number - 4)
        return int(struct.unpack("<I", self.machine.read(at, 4))[0])

    def _signed(self, number: int) -> int:
        value = self._argument(number)
        return value - (1 << 32) if value >> 31 else value

    def _index(self) -> int:
        addresses = [one.address for one in self.instances]
        wanted = self._argument(0)
        return addresses.index(wanted) if wanted in addresses else -1

    def _set_later(self) -> int:
        value = self._argument(2) & 0xFFFF
        self._later.append(
            (self._argument(0), self._argument(1), value - (1 << 16) if value >> 15 else value)
        )
        return 0

    def _draw_text(self) -> int:
        self.shown.texts.append((self._signed(0), self._signed(1), self.text(self._argument(2))))
        return 0

    def _draw_shape(self) -> int:
        shape, x0, y0, x1, y1, colour = (self._signed(n) for n in range(6))
        self.shown.shapes.append((shape, x0, y0, x1, y1, colour))
        return 0

    def _send_sysex(self) -> int:
        self.sysex += self.machine.read(self._argument(1), self._argument(2))
        if self._argument(3) & 1:
            self.sysex.append(0xF7)
        return 0

    def _add_json(self) -> int:
        self.json.append(self.text(self._argument(1)))
        return 0

    def _count_members(self) -> int:
        self.machine.write(self._argument(1), struct.pack("<i", len(self._parsed) // 2))
        return 1

    def _match_name(self) -> int:
        if self._parsed and self._parsed[0] == self.text(self._argument(1)):
            del self._parsed[0]
            return 1
        return 0

    def _skip_member(self) -> int:
        if len(self._parsed) < 2:
            return 0
        del self._parsed[:2]
        return 1

    def _parse_string(self) -> int:
        if not self._parsed:
            return 0
        at = self._scratch + 1024
        self.machine.write(at, self._parsed.pop(0).encode() + b"\0")
        self.machine.write(self._argument(1), struct.pack("<I", at))
        return 1


def load_plugin(
    path: Path, board: Board, rate_hz: int = 48_000, most_frames: int = 128, place: str = IMAGE_REGION
) -> Module:
    """Load a plug-in's file into a module that is not there.

    Raises
    ------
    Refusal
        No object, or one that `Module` refuses.
    """
    return Module(read_object(path), board, rate_hz, most_frames, place)
