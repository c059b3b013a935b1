"""An instrument's names, jacks and MIDI table as C, for `player.c` (``PluginTables`` in ``tables.h``)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from firmware.build import Built
from firmware.instruments import kinds
from firmware.instruments.c.literals import floats, integers, number, text
from firmware.midi.player import KeyColumns, MidiColumns, Move
from firmware.play.hits import wires
from firmware.play.render import has_sound, resting_knobs
from firmware.ports.web.describe import About, describe
from firmware.script.cv_script import EVENTS, GATE, Script, command_of, readings

NO_ID = 2**32 - 1
"""An identity that hosts read as none."""


def hears(built: Built) -> bool:
    """Whether sound that comes in does something: a model takes it, or a gate listens to it."""
    assignment = built.assignment
    models = assignment.models.values()
    return any(model.about.input_with("audio") is not None for model in models) or any(
        gate.audio >= 0 for gate in assignment.gates
    )


def plugin_id(built: Built, own_models: bool) -> str:
    """Return the name by which songs find the plugin; one with other models is another plugin."""
    return ".".join(["vaectrol", built.name, *([built.model_hash] if own_models else [])])


def plugin_tables(built: Built, *, own_models: bool = False) -> str:
    """Return the C source of ``plugin_tables``.

    Parameters
    ----------
    own_models : bool
        Whether the instrument plays models that are not the factory's.
    """
    return _Tables(built, own_models).text()


class _Tables:
    """Collects the arrays while the tables are written."""

    def __init__(self, built: Built, own_models: bool):
        self.built = built
        self.about: About = describe(built, int(built.report["block"]))
        self.id = plugin_id(built, own_models)
        self.title = self.about["title"] + (f" {built.model_hash}" if own_models else "")
        self.parameters = {one["name"]: at for at, one in enumerate(self.about["parameters"])}
        self.lines: list[str] = []

    def text(self) -> str:
        """Write everything."""
        about, built = self.about, self.built
        features = ["audio-effect" if hears(built) else "instrument", "stereo"]
        rows = {
            "control": ("PluginControl", [*self._parameters(), *self._gate_functions()]),
            "cv_in": ("PluginCv", self._cvs_in()),
            "gate_in": ("PluginJack", self._gates_in()),
            "cv_out": ("PluginJack", self._outputs("cv_out_", built.assignment.cv_out, self._cv_names())),
            "gate_out": (
                "PluginJack",
                self._outputs("gate_out_", built.assignment.gate_out, self._gate_names()),
            ),
            "key": ("PluginKey", self._keys()),
            "controller": ("PluginController", self._controllers()),
            "note": ("PluginNote", self._notes()),
        }
        for name, (ctype, values) in rows.items():
            body = "".join(f"    {value},\n" for value in values or ["{0}"])
            self.lines.append(f"static const {ctype} {name}[] = {{\n{body}}};")
        self.lines.append(
            '_Static_assert(sizeof key / sizeof *key <= PLUGIN_KEYS, "too many entries in [midi]");'
        )
        midi = about["midi"]
        clock, channel = (midi["clock"], midi["channel"]) if midi else (None, None)
        words = ", ".join(text(feature) for feature in features)
        counts = {
            "cvs_in": "cv_in",
            "gates_in": "gate_in",
            "cvs_out": "cv_out",
            "gates_out": "gate_out",
            "keys": "key",
            "controllers": "controller",
            "notes": "note",
        }
        fields = {
            "id": text(self.id),
            "name": text(self.title),
            "version": text(about["version"]),
            "words": text(about["about"]),
            "features": "features",
            "hears": _truth(hears(built)),
            "sounds": _truth(has_sound(built)),
            "parameters": str(len(about["parameters"])),
            "gates": str(len(about["gateFunctions"])),
            **{name: str(len(rows[array][1])) for name, array in counts.items()},
            "channel": str(-1 if channel is None else channel - 1),
            "clock": str(clock or 0),
            "start": _truth(bool(midi and midi["start"])),
            "reading": "reading",
            **{name: name for name in rows},
        }
        initial = "".join(f"    .{name} = {value},\n" for name, value in fields.items())
        return "\n".join(
            [
                f"/* {about['title']} as a plugin. Made by `vaectrol plugin`; do not edit. */",
                '#include "tables.h"',
                "",
                f"static const float reading[] = {floats(self._readings())};",
                f"static const char *const features[] = {{{words}, NULL}};",
                *self.lines,
                f"const PluginTables plugin_tables = {{\n{initial}}};",
                "",
            ]
        )

    # ---- what is turned --------------------------------------------------------------------------

    def _parameters(self) -> list[str]:
        rows = []
        for at, (one, parameter) in enumerate(
            zip(self.about["parameters"], self.built.assignment.parameters, strict=True)
        ):
            table = self._array(f"table_{at}", "float", floats(parameter.table))
            labels = self._labels(at, one["labels"])
            rows.append(
                f"{{{_identity(one['name'])}, {text(one['name'])}, {text(_title(one['name']))}, "
                f"{text(_group(one['name']))}, "
                f"{text(one['words'])}, {number(one['rest'])}, {table}, {labels}, {len(parameter.table)}, "
                f"{len(one['labels'])}}}"
            )
        return rows

    def _gate_functions(self) -> list[str]:
        words = {one.to: one.words for one in self.built.assignment.loaded.spec.gate}
        return [
            f"{{{_identity(f'gate/{name}')}, {text(f'gate/{name}')}, "
            f"{text('Hold ' + name.replace('_', ' '))}, {text('Gates')}, "
            f"{text(words.get(name, ''))}, 0.0f, NULL, NULL, 0, 0}}"
            for name in self.about["gateFunctions"]
        ]

    def _labels(self, at: int, labels: Sequence[str]) -> str:
        if not labels:
            return "NULL"
        body = "{" + ", ".join(text(label) for label in labels) + "}"
        return self._array(f"labels_{at}", "char *const", body)

    # ---- what is plugged -------------------------------------------------------------------------

    def _readings(self) -> list[float]:
        """All converters with nothing patched and nothing turned, as `vaectrol play` reads them."""
        nothing = readings(Script(), self.built.board, slice(0, 1), {}, resting_knobs(self.built))
        return [float(value) for value in nothing.inputs[:, 0]]

    def _cvs_in(self) -> list[str]:
        listened = {parameter.cv for parameter in self.built.assignment.parameters} | {
            gate.cv for gate in self.built.assignment.gates
        }
        rows = []
        for at, (adc, said) in enumerate(zip(self.built.board.adcs, self.about["inputs"], strict=True)):
            if adc.kind == "cv" and at in listened:
                span = float(np.float32(adc.high_volts - adc.low_volts))
                rows.append(
                    f"{{{text(_jack('CV', adc.name, said['moves']))}, {at}, {_truth(adc.inverted)}, "
                    f"{number(adc.low_volts)}, {number(span)}}}"
                )
        return rows

    def _gates_in(self) -> list[str]:
        heard = 0
        for gate in self.built.assignment.gates:
            heard |= gate.gates
        return [
            f"{{{text(_jack('Gate', said['name'], said['moves']))}, {at}}}"
            for at, said in enumerate(self.about["gates"])
            if heard >> at & 1 and not said["button"]
        ]

    def _cv_names(self) -> list[str]:
        return [dac.name for dac in self.built.board.dacs]

    def _gate_names(self) -> list[str]:
        return [gate.name for gate in self.built.board.gates_out]

    def _outputs(self, kind: str, sources: Sequence[int], names: Sequence[str]) -> list[str]:
        carries = {one["name"]: one["carries"] for one in self.about["outputs"]}
        title = "CV" if kind == "cv_out_" else "Gate"
        return [
            f"{{{text(_jack(title, name, carries[name]))}, {at}}}"
            for at, (name, source) in enumerate(zip(names, sources, strict=True))
            if source >= 0
        ]

    def _notes(self) -> list[str]:
        """Gates that are notes in a MIDI file, as `vaectrol play --midi-out` writes them."""
        gates, cvs = wires(self.built)
        return [
            f"{{{gates[part]}, {key}, {cvs.get(f'velocity.{part}', cvs.get('velocity', -1))}}}"
            for part, key in kinds.named(self.built.assignment.kind).midi_notes.items()
            if part in gates
        ]

    # ---- what MIDI does --------------------------------------------------------------------------

    @property
    def _midi(self) -> MidiColumns:
        return self.about["midi"] or MidiColumns(
            channel=None, clock=None, start=False, bend=0.0, keys=[], controllers=[]
        )

    def _keys(self) -> list[str]:
        return [self._key(at, key) for at, key in enumerate(self._midi["keys"])]

    def _key(self, at: int, key: KeyColumns) -> str:
        velocity = self._numbers(f"key_{at}_velocity", key["velocity"])
        pitch = self._numbers(f"key_{at}_pitch", key["pitch"])
        sets = self._moves(f"key_{at}_set", key["sets"])
        low, high = key["pitchVolts"]
        return (
            f"{{{key['low']}, {key['high']}, {self._command(key['strikes'], EVENTS['trigger'])}, "
            f"{self._command(key['gate'], GATE)}, {key['middle']}, {float(low)!r}, {float(high)!r}, "
            f"{velocity}, {pitch}, {sets}, {len(key['velocity'])}, {len(key['pitch'])}, {len(key['sets'])}, "
            f"{key['lane']}, {key['lanes']}}}"
        )

    def _controllers(self) -> list[str]:
        rows = []
        for at, one in enumerate(self._midi["controllers"]):
            moved = self._numbers(f"controller_{at}", one["columns"])
            low, high = one["range"]
            rows.append(f"{{{one['cc']}, {len(one['columns'])}, {moved}, {float(low)!r}, {float(high)!r}}}")
        return rows

    def _command(self, column: str, kind: int) -> int:
        """Index of the command of a script's column; −1: there is none."""
        found = command_of(column, 1.0, self.parameters, self.about["gateFunctions"]) if column else None
        assert found is None or found[0] == kind
        return -1 if found is None else found[1]

    def _numbers(self, name: str, columns: Sequence[str]) -> str:
        if not columns:
            return "NULL"
        return self._array(name, "uint8_t", integers(self.parameters[column] for column in columns))

    def _moves(self, name: str, moves: Sequence[Move]) -> str:
        if not moves:
            return "NULL"
        rows = ", ".join(f"{{{self.parameters[column]}, {number(value)}}}" for column, value in moves)
        return self._array(name, "PluginMove", f"{{{rows}}}")

    def _array(self, name: str, ctype: str, body: str) -> str:
        self.lines.append(f"static const {ctype} {name}[] = {body};")
        return name


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _identity(name: str) -> str:
    """Return a control's number that never changes."""
    found = zlib.crc32(name.encode())
    return f"{found if found != NO_ID else 0}u"


def _title(name: str) -> str:
    """Write ``attribute/brightness`` as a host shows it."""
    words = name.removeprefix("attribute/").replace("/", " ").replace("_", " ")
    return words[:1].upper() + words[1:]


def _group(name: str) -> str:
    """Return the folder that a host puts a parameter in."""
    first = name.split("/")[0]
    return {"latent": "Latents", "attribute": "Attributes"}.get(first, _title(first) if "/" in name else "")


def _jack(title: str, name: str, does: str) -> str:
    place = name.rpartition("_")[2]
    return f"{title} {place}: {does}" if does else f"{title} {place}"
