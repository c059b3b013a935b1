"""Grains: places on a map of codes become pieces of sound in the background, and grains of them a cloud."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.model_metadata import CodeTables
from common.refusal import Refusal
from firmware.compiler.report import Report
from firmware.instruments.assignment import Assignment, ToneAssignment
from firmware.instruments.c.held import Held, KindTables
from firmware.instruments.c.literals import floats, integers
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.hops import HEAR_CYCLES, HOP, Step, load_of, network_steps, placed
from firmware.instruments.kinds import texture
from firmware.instruments.kinds.base import InstrumentKind, ModelRole
from firmware.instruments.latents.layer import add_layer, layer_tables
from firmware.instruments.tone import UNIT
from firmware.models.model_file import ModelFile

STAGES: Mapping[str, tuple[int, ...]] = {
    "keep": (2_000, 7_000),
    "hear": HEAR_CYCLES,
    "encode": (),
    "seek": (5_500, 5_500, 5_500, 5_500),
    "aim": (3_000,),
    **{stage: texture.STAGES[stage] for stage in ("pulses", "decode", "gains", "frame")},
}
"""Stages of a hop, GRAINS_STAGE_… of engine/instruments/grains.h; what their parts take on a Cortex-M7."""
NEEDS = {**dict.fromkeys(("hear", "encode", "seek"), "encoder"), "decode": "decoder"}
BEGIN_CYCLES = 8_500
"""What happens at once when a hop begins: its loudness is told."""
GRAIN_CYCLES = 32
"""Of a sample of a grain, counted by `vaectrol emulate`."""
AT_ONCE, PIECES, KEPT_HOPS, MOST_BOOKS = 16, 24, 16, 4
"""GRAINS_AT_ONCE, GRAINS_PIECES, VK_GRAIN_SIZE in hops and GRAINS_BOOKS of the engine."""
PIECE_BYTES = 2 * (KEPT_HOPS * HOP + 8)
BANK_REGIONS = ("d2", "sdram", "axi")
"""Where the bank lies: in the first of them that a board has."""
CODES = "codes"
POINTS = 33
DENSITIES = (0.0, *np.geomspace(2.0, 400.0, POINTS - 1).tolist())
"""Grains a second."""
LENGTHS = tuple((48.0 * np.geomspace(5.0, 80.0, POINTS)).tolist())
"""Samples."""
FILES = {"encoder": "encoder", "decoder": "decoder", CODES: CODES}


class CodesRole(ModelRole):
    """Which latents lie where on the map: a table that is read, not a network that runs; grains need one."""

    name = CODES
    model_kind = "texture"
    required = False
    runs = False


class Grains(InstrumentKind):
    """Places on a map in, a cloud of grains out."""

    gates = ("freeze", "redraw", "trigger")
    gate_sources = ("grain",)
    cv_sources = ("x", "y", "crowd")
    audio_sources = ("left", "right")
    roles = (texture.EncoderHalf(), texture.DecoderHalf(), CodesRole())
    audition: Mapping[str, float] = {"trigger": 4.0}
    words: Mapping[str, str] = {
        "x": "Place on the map of sounds, from left to right.",
        "y": "Place on the map of sounds, from its lower edge to its upper one.",
        "spread": "How far from that place grains are taken: none, to all over the map.",
        "detail": "How much each grain lives: a still sound, as it was recorded, exaggerated.",
        "density": "Grains a second: none, then from two to 400.",
        "length": "Length of a grain, from 5 to 80 milliseconds.",
        "jitter": "How unevenly grains begin, in time and within their piece of sound.",
        "pitch": "Pitch, one volt per octave; 0 V is the lowest C of a cello.",
        "tune": "Tunes by up to two octaves down or up.",
        "fine": "Tunes by up to a semitone down or up.",
        "body": "Left: as if a larger instrument made the sound; right: a smaller one.",
        "width": "How far grains are spread between left and right.",
        "listen": "How far what comes in, and not the hand, says place and loudness.",
        "gain": "How loud the sound goes in.",
        "level": "Loudness of everything that leaves the module.",
    }
    struct_bytes = 36 * 1024
    callback_cycles, sample_cycles = 4_000, 120

    def memory_bytes(self, assignment: Assignment) -> dict[str, int]:
        """The bank beside the struct."""
        return {"dtcm": self.struct_bytes, _bank_region(assignment): PIECES * PIECE_BYTES}

    def add_parameters(self, assignment: Assignment) -> None:
        """Where on the map; how grains are; at which pitch; what is heard."""
        _check(assignment)
        assignment.tones[self.name] = ToneAssignment()
        add_layer(assignment, assignment.models["decoder"])
        assignment.add("x", UNIT, 0.5)
        assignment.add("y", UNIT, 0.5)
        assignment.add("spread", UNIT, 0.1)
        assignment.add("detail", (0.0, 2.0), 0.5)
        assignment.add("density", DENSITIES, 0.6)
        assignment.add("length", LENGTHS, 0.8)
        assignment.add("jitter", UNIT, 0.3)
        assignment.add("pitch", (-5.0, 5.0), 0.5)
        assignment.add("tune", (-2.0, 2.0), 0.5)
        assignment.add("fine", (-1.0, 1.0), 0.5)
        assignment.add("body", (-1.0, 1.0), 0.5)
        assignment.add("width", UNIT, 0.5)
        assignment.add("listen", UNIT, 0.0)
        assignment.add("gain", (0.0, 2.0), 0.5)
        assignment.add("level", UNIT, 1.0)

    def wait_ticks(self, assignment: Assignment) -> int:
        """A piece is made in the background; what sounds begins at once."""
        return 0

    def plan(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> None:
        """Spread the steps of a hop evenly over it."""
        assignment.steps = placed(steps(reports), BEGIN_CYCLES)

    def load(self, assignment: Assignment, reports: Mapping[str, Report], block: int) -> tuple[float, float]:
        """Of a hop's steps, as they are due, and of all grains at once."""
        mean, worst = load_of(steps(reports), BEGIN_CYCLES, assignment.steps, block)
        return mean + GRAIN_CYCLES * AT_ONCE * block, worst + GRAIN_CYCLES * AT_ONCE * block

    def tables(self, assignment: Assignment, models: Mapping[str, CompiledModel]) -> KindTables:
        """Return a ``GrainsSpec``."""
        codes = _codes(assignment.models[CODES])
        books = np.array(codes.books)
        names = (
            *("x", "y", "spread", "detail", "density", "length", "jitter", "pitch", "tune", "fine", "body"),
            *("width", "listen", "gain", "level"),
        )
        parameters = "\n".join(f"    .{name} = {assignment.index[name]}," for name in names)
        steps_text = "\n".join(
            f"    {{{due}, GRAINS_STAGE_{stage.upper()}, {part}}}," for due, stage, part in assignment.steps
        )
        layer, layered = layer_tables(assignment, models["decoder"], self.name, texture.STRAY)
        region = _bank_region(assignment) if models["decoder"].is_placed else ""
        bank = Held("GrainsSound", "grains_bank", PIECES, region)
        constants = f"""_Static_assert(GRAINS_PIECES == {PIECES}u, "as counted");
_Static_assert(GRAINS_AT_ONCE == {AT_ONCE}u, "as counted");
_Static_assert(sizeof(GrainsSound) == {PIECE_BYTES}u, "as counted");
static const float codes_book[] = {floats(books.ravel())};
static const uint16_t codes_gesture[] = {integers(np.array(codes.gestures).ravel())};
static const uint8_t codes_loudness[] = {integers(np.array(codes.loudness).ravel())};
static const uint8_t codes_voicing[] = {integers(np.array(codes.voicing).ravel())};
static const GrainsCodes codes_table = {{
    .side = {codes.side}, .bits = {codes.side.bit_length() - 1},
    .books = {len(books)}, .latents = {books.shape[2]},
    .lead = {codes.lead}, .frames = {codes.lead + KEPT_HOPS},
    .book = codes_book, .gesture = codes_gesture, .loudness = codes_loudness, .voicing = codes_voicing,
}};
static const GrainsStep grains_steps[] = {{
{steps_text}
}};"""
        used = {
            role: (f"&{models[role].table}", f"&{models[role].state.name}")
            if role in models
            else ("NULL", "NULL")
            for role in ("encoder", "decoder")
        }
        spec = f"""{{
    .encoder = {used["encoder"][0]},
    .decoder = {used["decoder"][0]},
    .encoder_memory = {used["encoder"][1]},
    .decoder_memory = {used["decoder"][1]},
    .codes = &codes_table,
    .bank = grains_bank,
{parameters}
    .steps = grains_steps,
    .count = {len(assignment.steps)},
    .outputs = OUTPUTS{layered},
}}"""
        return KindTables([constants, *layer, *(model.state for model in models.values()), bank], spec)


def _bank_region(assignment: Assignment) -> str:
    there = {region.name for region in assignment.board.memory}
    return next((region for region in BANK_REGIONS if region in there), "dtcm")


def _codes(model: ModelFile) -> CodeTables:
    """The tables of a file of codes; a `Refusal` where it is something else, or too large."""
    codes = model.about.codes
    if model.about.part != CODES or codes is None:
        raise Refusal(
            f"{model.path.name} is the {model.about.part or 'whole'} of a {model.kind}, not its codes; "
            "make some with `vaectrol train codes`."
        )
    books, size, count = np.array(codes.books), codes.side**2, codes.lead + KEPT_HOPS
    if codes.side & (codes.side - 1):
        raise Refusal(
            f"{model.path.name} has a map of {codes.side} by {codes.side} codes; the engine finds its way by "
            "halves, so train one of 2, 4, 8, 16 or 32 along an edge."
        )
    if len(books) > MOST_BOOKS or codes.ticks != HOP:
        raise Refusal(
            f"{model.path.name} has {len(books)} books of {codes.ticks} samples a frame; the engine has room "
            f"for {MOST_BOOKS} of {HOP}."
        )
    shapes = {
        "books": (books.shape, (len(books), size, len(model.about.latents))),
        "gestures": (np.shape(codes.gestures), (size, count, len(books))),
        "loudness": (np.shape(codes.loudness), (size, count)),
        "voicing": (np.shape(codes.voicing), (size, count)),
    }
    for name, (found, wanted) in shapes.items():
        if found != wanted:
            raise Refusal(
                f"{model.path.name}: its {name} are {found} and should be {wanted}; train codes of "
                f"{KEPT_HOPS} frames a gesture."
            )
    return codes


def _check(assignment: Assignment) -> None:
    """Refuse halves that are not there or stand for each other, and parts of different runs."""
    if not {"decoder", CODES} <= assignment.models.keys():
        raise Refusal(f"{assignment.loaded.name}: grains need a decoder and codes of its latents.")
    for role, part in FILES.items():
        model = assignment.models.get(role)
        if model is not None and role != CODES and model.about.part != part:
            raise Refusal(
                f"{assignment.loaded.name}: {model.path.name} is the {model.about.part or 'whole'} of a "
                f"texture, and it stands for the {role}; exchange them."
            )
    _codes(assignment.models[CODES])
    codecs = {role: model.about.codec for role, model in assignment.models.items()}
    if len(set(codecs.values())) > 1:
        raise Refusal(
            f"{assignment.loaded.name}: its {', '.join(codecs)} are of different runs "
            f"({', '.join(f'{role} {codec[:8]}' for role, codec in codecs.items())}); take those of one."
        )


def steps(reports: Mapping[str, Report]) -> list[Step]:
    """All steps of a hop, in order; what an absent encoder would do is left out."""
    found: list[Step] = []
    for stage, parts in STAGES.items():
        half = NEEDS.get(stage)
        if half is not None and half not in reports:
            continue
        if parts:
            found += [Step(stage, part, float(cycles)) for part, cycles in enumerate(parts)]
        elif half is not None:
            found += network_steps(stage, reports[half])
    return found


KIND = Grains()
