"""What a board is: processor, memory, converters, jacks and pins, read from one TOML file each.

Everything that depends on the board comes from here: the compiler's memory regions, the bench's cycle
costs, the ports' C tables (`hardware.tables`), the wiring tables, the panel and the bill of materials.
Jack names are the same on every board (`knob_1`, `cv_1`, `gate_in_1`, `gate_out_1`, `cv_out_1`), so that
an instrument file names them once; the silk screen's own name stands in `silk`.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal

BOARDS_DIR = Path(__file__).parent / "boards"


class _Part(BaseModel):
    """Frozen, and strict about unknown keys: a misspelt field is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Processor(_Part):
    """The core that runs the audio callback."""

    core: Literal["cortex-m7", "cortex-a72", "cortex-a76", "host"]
    target: Literal["m7", "aarch64", "host"]
    clock_hz: float = Field(gt=0)
    icache_bytes: int = 0
    dcache_bytes: int = 0
    cache_line_bytes: int = 0
    cache_ways: int = 0


class Audio(_Part):
    """The audio converter: ±1.0 in the engine is ±`full_scale_volts` at the jack."""

    sample_rate_hz: float = float(SAMPLE_RATE_HZ)
    true_rate_hz: float = Field(gt=0)
    block: int = Field(gt=0)
    max_block: int = Field(gt=0)
    inputs: int = Field(ge=0)
    outputs: int = Field(ge=0)
    full_scale_volts_in: float = Field(gt=0)
    full_scale_volts_out: float = Field(gt=0)
    polarity_in: Literal[1, -1] = 1
    polarity_out: Literal[1, -1] = 1
    dc_coupled: bool = False
    """Whether the outputs pass a constant voltage."""
    periods: int = Field(2, gt=0)
    """Blocks buffered between callback and converter, each way."""
    converter_frames: float = Field(0.0, ge=0)
    """Group delay of the converters' own filters, in + out, from the data sheet."""
    codec: str


class Region(_Part):
    """A memory region. `line_fill_cycles` is what a cache line costs from here, in cycles (predicted)."""

    name: str
    title: str
    address: int = Field(ge=0)
    bytes: int = Field(gt=0)
    reserved_bytes: int = Field(0, ge=0)
    """Taken by libDaisy, the port, stack and bootloader before any model arrives."""
    kind: Literal["tcm", "cached", "uncached", "flash"]
    width_bytes: int = Field(gt=0)
    """Bytes moved per beat of the bus behind the region."""
    line_fill_cycles: int = Field(0, ge=0)
    constants: bool = True
    """Whether tables may be placed here."""
    copies: bool = False
    """Whether they get here by being copied for each instance of a plug-in, as no linker places them."""
    use: str = ""

    @property
    def left_bytes(self) -> int:
        """Bytes a model may use."""
        return self.bytes - self.reserved_bytes

    @model_validator(mode="after")
    def _reserves_no_more_than_it_has(self) -> Region:
        if self.reserved_bytes > self.bytes:
            raise ValueError(f"reserves {self.reserved_bytes} of {self.bytes} bytes")
        return self


class Jack(_Part):
    """What every connection has: our name, the silk-screen name, the header pin and the MCU pin."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    silk: str
    pin: str = ""
    mcu: str = ""
    label: str = ""
    """What the panel prints beside it."""


class Adc(Jack):
    """One slow input. Code 0 is `low_volts`, the full code `high_volts`; `inverted` swaps the two."""

    kind: Literal["cv", "knob"]
    index: int = Field(ge=0)
    """Channel number in the port's own API (libDaisy's CV_1 = 0; the MCP3208's channel)."""
    low_volts: float
    high_volts: float
    bits: int = Field(ge=1, le=24)
    inverted: bool = False
    law: Literal["linear"] = "linear"
    noise_volts_rms: float = Field(0.0, ge=0)
    scan_ms: float = Field(1.0, ge=0)
    """Time between two fresh readings."""
    travel_volts: tuple[float, float] | None = None
    """What a pot can reach, where that is less than the converter's range."""

    @model_validator(mode="after")
    def _has_a_span(self) -> Adc:
        if self.high_volts <= self.low_volts:
            raise ValueError(f"high_volts {self.high_volts} is not above low_volts {self.low_volts}")
        return self

    @property
    def travel_low_volts(self) -> float:
        """Volts at the bottom of the travel."""
        return self.travel_volts[0] if self.travel_volts else self.low_volts

    @property
    def travel_high_volts(self) -> float:
        """Volts at the top of the travel."""
        return self.travel_volts[1] if self.travel_volts else self.high_volts

    @property
    def full_code(self) -> int:
        """The largest code."""
        return (1 << self.bits) - 1

    def volts(self, code: float) -> float:
        """Volts at the jack by the nominal law, before calibration."""
        span = self.high_volts - self.low_volts
        part = code / self.full_code
        return self.high_volts - part * span if self.inverted else self.low_volts + part * span

    def code(self, volts: float) -> int:
        """Return the nearest code for `volts`, clamped to the converter's range."""
        part = (volts - self.low_volts) / (self.high_volts - self.low_volts)
        part = 1.0 - part if self.inverted else part
        return round(min(1.0, max(0.0, part)) * self.full_code)


class Dac(Jack):
    """One CV output."""

    index: int = Field(ge=0)
    low_volts: float
    high_volts: float
    bits: int = Field(ge=1, le=24)
    codes_per_volt: float = Field(gt=0)
    latency_ms: float = Field(0.0, ge=0)
    is_led: bool = False


class Gate(Jack):
    """A gate input or output; `inverted` means that 5 V at the jack reads (or is written) as a low pin."""

    index: int = Field(ge=0)
    inverted: bool = False
    line: int = Field(-1, ge=-1)
    """GPIO line offset on a Pi; −1 elsewhere."""
    high_volts: float = 5.0
    low_threshold_volts: float = 0.5
    high_threshold_volts: float = 1.0


class Button(Jack):
    """A momentary button or a toggle, closing to ground."""

    kind: Literal["momentary", "toggle"]
    line: int = Field(-1, ge=-1)


class Led(Jack):
    """A light; on a board without spare pins it may hang on a CV output (`dac`)."""

    dac: str = ""
    line: int = Field(-1, ge=-1)


class Boot(_Part):
    """One way to start an image on a Daisy."""

    name: Literal["none", "sram", "qspi"]
    address: int
    """Where dfu-util writes the image."""
    bytes: int
    """The largest image there."""
    runs_at: int
    """Where the reset vector table lies once it runs."""
    dfuse: str
    """How the bootloader that can write it names itself, up to the address."""


class Board(_Part):
    """One board, whole."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    port: Literal["daisy", "rpi", "disting_nt", "host"]
    libdaisy_class: str = ""
    processor: Processor
    audio: Audio
    memory: tuple[Region, ...]
    boots: tuple[Boot, ...] = ()
    storage_address: int = 0
    """Where calibration and presets live in the flash, clear of the image."""
    storage_bytes: int = 0
    erase_bytes: int = 4096
    gate_poll_hz: float = Field(gt=0)
    adcs: tuple[Adc, ...] = ()
    dacs: tuple[Dac, ...] = ()
    gates_in: tuple[Gate, ...] = ()
    gates_out: tuple[Gate, ...] = ()
    buttons: tuple[Button, ...] = ()
    leds: tuple[Led, ...] = ()
    spi_device: str = ""
    dac_spi_device: str = ""
    spi_hz: int = 0
    gpio_chip: str = ""
    pins: dict[str, str] = {}
    """Every header pin by its silk-screen name, with what sits there (MCU pin or supply)."""
    for_instances: bool = False
    """Set by `firmware.build`, not by a file: instances side by side, with copies where regions say so."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Board:
        for field in ("memory", "adcs", "dacs", "gates_in", "gates_out", "buttons", "leds"):
            names = [part.name for part in getattr(self, field)]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"{field} names {sorted(twice)[0]!r} twice")
        return self

    @model_validator(mode="after")
    def _pins_have_one_function(self) -> Board:
        taken: dict[str, str] = {}
        lights = [led for led in self.leds if not led.dac]  # others share a CV output's pin
        for part in (*self.adcs, *self.dacs, *self.gates_in, *self.gates_out, *self.buttons, *lights):
            if part.pin and taken.setdefault(part.pin, part.name) != part.name:
                raise ValueError(
                    f"pin {part.pin} is both {taken[part.pin]} and {part.name}; give one of them another pin"
                )
        return self

    @property
    def cycles_per_frame(self) -> float:
        """Core cycles between two audio frames at the nominal rate."""
        return self.processor.clock_hz / self.audio.sample_rate_hz

    def region(self, name: str) -> Region:
        """Return the memory region called `name`; refuse when there is none."""
        return _named(self.memory, name, f"{self.name} memory")

    def adc(self, name: str) -> Adc:
        """Return the slow input called `name`; refuse when there is none."""
        return _named(self.adcs, name, f"{self.name} inputs")


def _named(parts: tuple[Any, ...], name: str, where: str) -> Any:
    for part in parts:
        if part.name == name:
            return part
    raise Refusal(f"{where}: no {name!r}; there are {', '.join(p.name for p in parts) or 'none'}.")


def available_boards() -> list[str]:
    """Names of the boards in `hardware/boards`, sorted."""
    return sorted(path.stem for path in BOARDS_DIR.glob("*.toml"))


def load_board(name_or_path: str | Path) -> Board:
    """Read a board by name (`patch_sm`) or from a TOML file of one's own.

    A file may say ``extends = "patch_sm"``: tables are merged key by key, lists of tables entry by entry
    on ``name``; an entry with ``absent = true`` is dropped.

    Raises
    ------
    Refusal
        An unknown board, a file that is not TOML, or a field that is wrong: which, and why.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in available_boards():
            raise Refusal(
                f"there is no board {str(name_or_path)!r}; choose {', '.join(available_boards())}, "
                "or give the path of a board's .toml file."
            )
        path = BOARDS_DIR / f"{name_or_path}.toml"
    return _load(path.resolve())


@cache
def _load(path: Path) -> Board:
    try:
        return Board.model_validate(_merged(path, ()))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise Refusal(f"{path.name}: {field}: {first['msg'].removeprefix('Value error, ')}.") from None


def _merged(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Return the raw tables of `path` on top of what it extends."""
    if path in seen:
        raise Refusal(f"{path.name}: extends itself by way of {seen[-1].name}.")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(f"cannot read the board file {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{path.name} is not valid TOML: {error}.") from None
    parent = raw.pop("extends", None)
    if parent is None:
        return raw
    beside = path.parent / f"{parent}.toml"
    base = beside if beside.exists() else BOARDS_DIR / f"{parent}.toml"
    return _overlay(_merged(base.resolve(), (*seen, path)), raw)


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in top.items():
        below = out.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and key != "pins":  # another header, whole
            out[key] = _overlay(below, value)
        elif isinstance(value, list) and isinstance(below, list):
            out[key] = _overlay_entries(below, value)
        else:
            out[key] = value
    return out


def _overlay_entries(base: list[dict[str, Any]], top: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge two lists of tables on their `name`, keeping the base's order."""
    entries = {entry["name"]: entry for entry in base}
    for entry in top:
        entries[entry["name"]] = _overlay(entries.get(entry["name"], {}), entry)
    return [entry for entry in entries.values() if not entry.get("absent", False)]
