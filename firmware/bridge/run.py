"""A bridge from its options: opens what was asked for, plays, and says what came of it."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.files import write_text
from common.reading.toml_source import read_toml
from common.refusal import Refusal
from firmware.bridge.hub import Hub
from firmware.bridge.mapping import PLAIN, Mapping, read_mapping
from firmware.bridge.phone.defaults import shown, with_defaults
from firmware.bridge.phone.server import Offered, PhoneServer, Place, qr_code
from firmware.bridge.sinks.host import HostInstrumentSide, HostWanted
from firmware.bridge.sinks.instrument import Instrument, Length, hub_says, takes_columns
from firmware.bridge.sinks.midi import midi_output, takes_midi
from firmware.bridge.sinks.module import ModuleSide
from firmware.bridge.sinks.osc import OscOut, takes_osc
from firmware.bridge.sources.midi import MidiSource
from firmware.bridge.sources.osc import OscSource
from firmware.bridge.sources.script import ScriptSource
from firmware.bridge.targets import Targets
from firmware.midi.cable import midi_input
from firmware.play.live.osc import OscServer
from firmware.play.live.telemetry import Changes
from firmware.script.cv_script import read_script, script_text

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"


@dataclass(frozen=True)
class Ways:
    """What leads in and out.

    Attributes
    ----------
    osc : int or None
        UDP port to listen on.
    osc_out : (str, int) or None
        Where what the instrument says goes.
    midi, midi_out : str or None
        Beginning of a MIDI input's and output's name.
    script : Path or None
        A CV script that is played into the hub.
    lan : bool
        Whether to listen beyond this computer.
    phone : Place or None
        Where a phone's page is served.
    module_page : str
        HTML of the instrument's page, served beside it; "" for none.
    """

    osc: int | None = None
    osc_out: tuple[str, int] | None = None
    midi: str | None = None
    midi_out: str | None = None
    script: Path | None = None
    lan: bool = False
    phone: Place | None = None
    module_page: str = ""


@dataclass(frozen=True)
class Wanted:
    """A bridge as it was asked for.

    Attributes
    ----------
    host : HostWanted or None
        The instrument to play here.
    device : str or None
        The module to play instead; then `instrument` may name its file.
    mapping : Path or None
    seconds : float or None
        How long; until interrupted when None.
    record : Path or None
        Where what was played is written as a CV script.
    hz : float
        How often the instrument is asked what it has to say.
    """

    host: HostWanted | None = None
    device: str | None = None
    instrument: str | None = None
    mapping: Path | None = None
    ways: Ways = field(default_factory=Ways)
    seconds: float | None = None
    record: Path | None = None
    hz: float = 50.0


class Teller:
    """Asks an instrument what it has to say, and passes on what changed; a context manager."""

    def __init__(self, instrument: Instrument, hub: Hub, osc: OscOut | None, hz: float):
        self.instrument, self.hub, self.osc, self.hz = instrument, hub, osc, hz
        self._changes = Changes(self._tell)
        self._stop = threading.Event()

    def _tell(self, address: str, value: float) -> None:
        if self.osc is not None:
            self.osc.send(address, value)
        self.hub.receive(f"instrument{address}", value)

    def _work(self) -> None:
        while not self._stop.wait(1.0 / self.hz):
            self._changes.frame(self.instrument.values())

    def __enter__(self) -> Teller:
        """Begin."""
        self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()


def fader_positions(mapping: Mapping, instrument: Instrument) -> Callable[[str], float | None]:
    """Return what says where a fader of the phone stands: where the parameter does that it moves as it is."""
    of_fader = {
        rule.source: rule.target
        for rule in mapping.rules
        if rule.target in instrument.parameters and rule.curve == PLAIN
    }

    def position(name: str) -> float | None:
        parameter = of_fader.get(f"phone/{name}")
        try:
            return instrument.position(parameter) if parameter is not None else None
        except Refusal:  # a module that is away
            return None

    return position


def run(
    wanted: Wanted, tell: Callable[[str], None] = print, stop: threading.Event | None = None
) -> dict[str, Any]:
    """Play until the time is over or the user interrupts.

    Parameters
    ----------
    tell : callable
        Told what listens where, as soon as it does.
    stop : Event, optional
        Ends it before its time.

    Returns
    -------
    dict
        ``says`` (lines), ``files``, ``messages`` (that came in), ``complaint`` (None, or what is wrong with
        the sound).

    Raises
    ------
    Refusal
        A port that is taken, no such MIDI port, a mapping or script that is none, no module.
    """
    if wanted.mapping is not None:
        read_toml(wanted.mapping)  # before anything is built
    script = read_script(wanted.ways.script) if wanted.ways.script is not None else None
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder, ExitStack() as stack:
        host = HostInstrumentSide(wanted.host, Path(folder)) if wanted.host is not None else None
        instrument: Instrument = host or ModuleSide(wanted.device or "", wanted.instrument)
        stack.callback(instrument.close)
        ways = wanted.ways
        targets = Targets(
            list(instrument.parameters),
            instrument.gates,
            instrument.presets,
            osc=ways.osc_out is not None,
            midi=ways.midi_out is not None,
        )
        mapping = read_mapping(wanted.mapping, targets) if wanted.mapping is not None else Mapping()
        if ways.phone is not None:
            mapping = with_defaults(mapping, targets)
        hub = Hub(mapping)
        outbox = hub.outbox(takes_columns)
        stack.enter_context(hub)
        title = instrument.describe()[0]
        osc_out = None
        if ways.osc_out is not None:
            osc_out = stack.enter_context(OscOut(*ways.osc_out, hub.outbox(takes_osc)))
            tell(f"{title} tells {ways.osc_out[0]}:{ways.osc_out[1]} by OSC what it does")
        if ways.midi_out is not None:
            name = stack.enter_context(midi_output(ways.midi_out, hub.outbox(takes_midi)))
            tell(f"MIDI goes out to {name}")
            if host is not None and hub.through:
                host.notes = hub.put
        osc_source = OscSource(hub, instrument, instrument.describe)
        if ways.osc is not None:
            address = EVERYWHERE if ways.lan else LOOPBACK
            server = stack.enter_context(OscServer(osc_source, ways.osc, address))
            tell(f"{title} listens for OSC on {server.host}:{server.port} (UDP); /report lists its addresses")
        if ways.midi is not None:
            player = instrument.midi_player() if hub.through else None
            name = stack.enter_context(midi_input(ways.midi, MidiSource(hub, player)))
            tell(f"{title} follows {name}")
        phone = None
        if ways.phone is not None:
            follow = hub.outbox(takes_columns) if ways.module_page else None
            offered = Offered(title, shown(mapping), fader_positions(mapping, instrument), ways.module_page)
            phone = stack.enter_context(PhoneServer(hub, offered, follow, ways.phone))
            if ways.phone.lan:
                tell(qr_code(phone.link()))
            who = "by a phone" if ways.phone.lan else "in a browser of this computer (a phone needs --lan)"
            tell(f"{title} is played {who} at {phone.link()}")
            if ways.module_page:
                tell(f"its page in a browser follows: {phone.link('/module')}")
        if ways.osc_out is not None or any(rule.source.startswith("instrument/") for rule in mapping.rules):
            stack.enter_context(Teller(instrument, hub, osc_out, wanted.hz))

        def started() -> None:
            if script is not None:
                began = time.monotonic()
                stack.enter_context(ScriptSource(hub, script, targets, lambda: began))

        length = Length(wanted.seconds, stop or threading.Event())
        instrument.perform(outbox, length, hub_says(hub), started)
    files = list(host.files) if host is not None else []
    said = instrument.in_words()
    if wanted.record is not None:
        write_text(wanted.record, script_text(instrument.script()))
        files.append(wanted.record)
        if host is not None:
            said.append(f"the same again: {host.again(wanted.record)}")
    if files:
        said.insert(1, f"wrote {', '.join(map(str, files))}")
    return {
        "says": "\n".join([*said, *osc_source.in_words(), *(phone.in_words() if phone is not None else [])]),
        "files": [str(file) for file in files],
        "messages": hub.messages,
        "complaint": host.complaint if host is not None else None,
    }
