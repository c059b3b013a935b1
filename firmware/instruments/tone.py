"""Latents and knobs of one model: a parameter for each, and the C table by which the engine finds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.model_metadata import ModelMetadata
from common.refusal import Refusal
from firmware.instruments.assignment import Assignment, ToneAssignment
from firmware.instruments.c.literals import floats, integers
from firmware.models.model_file import ModelFile, knob_channels

UNIT = (0.0, 1.0)
"""Table of a parameter that is its own position."""


BEND_REST = 0.5
"""Noon, where a bend leaves the model as it was."""


def position_of(table: Sequence[float], value: float) -> float:
    """Return the travel at which a rising table reaches `value`."""
    return float(np.interp(value, table, np.linspace(0.0, 1.0, len(table))))


def add_tone(assignment: Assignment, model: ModelFile, shown: int | None = None) -> ToneAssignment:
    """Add a parameter for every latent and knob of `model` and say where they lie."""
    tone = add_latents(assignment, model, shown)
    _add_knobs(assignment, model, tone)
    return tone


def add_latents(
    assignment: Assignment, model: ModelFile, shown: int | None = None, *, plane: bool = True
) -> ToneAssignment:
    """Add a parameter for every latent of `model` and say where they lie.

    The map places the latents that no control moves. Where the model has classes, or says where it rests, it
    does so only if a control moves on the map: else they stay where they rest, or at their means, which is
    every class's own middle. Of many latents, the first `shown`, which say most, are parameters, and others
    only where a control moves them. Without ``plane`` there is no map.
    """
    about = model.about
    tone = ToneAssignment()
    settled = not plane or any(name.startswith("class:") for name in knob_channels(model))
    settled = settled or any(latent.rest is not None for latent in about.latents)
    mapped = about.plane is not None and (not settled or bool({"x", "y"} & assignment.moved))
    if mapped:
        tone.plane = (assignment.add("x", UNIT, 0.5), assignment.add("y", UNIT, 0.5))
    for number, latent in enumerate(about.latents, 1):
        name = f"latent.{number}"
        tone.latent_rest.append(latent.at_rest)
        hidden = mapped or (shown is not None and number > shown)
        if hidden and name not in assignment.moved:
            tone.latent.append(-1)
            continue
        rest = position_of(latent.quantiles, latent.at_rest)
        tone.latent.append(assignment.add(name, latent.quantiles, rest))
    return tone


def _add_knobs(assignment: Assignment, model: ModelFile, tone: ToneAssignment) -> None:
    channels = knob_channels(model)
    classes = [number for number, name in enumerate(channels) if name.startswith("class:")]
    if classes:
        tone.class_parameter = assignment.add("class", UNIT, 0.0)
        tone.classes, tone.first_class = len(classes), classes[0]
    for number, name in enumerate(channels):
        if number in classes:
            tone.knob.append(-1)
            tone.knob_rest.append(1.0 if number == classes[0] else 0.0)
            continue
        attribute = model.about.attribute(name.removeprefix("attribute:"))
        if attribute is None:
            raise Refusal(f"{model.path.name}: its input names {name!r}, which its attribute table lacks.")
        tone.knob_rest.append(attribute.default)
        rest = position_of(attribute.quantiles, attribute.default)
        tone.knob.append(assignment.add(f"attribute.{attribute.name}", attribute.quantiles, rest))
    add_bends(assignment, model.about, tone)


def add_bends(assignment: Assignment, about: ModelMetadata, tone: ToneAssignment) -> None:
    """Add a parameter for all that bends a model; it lies behind its knobs."""
    for bend in about.bends:
        tone.knob_rest.append(bend.neutral)
        tone.knob.append(assignment.add(bend.name, bend.table, BEND_REST))


def tone_tables(assignment: Assignment, tone: ToneAssignment, name: str, role: str) -> tuple[str, str]:
    """Return the C declarations that a tone needs and the initialiser of the ``ToneSpec`` that uses them."""
    declared = [
        f"static const int8_t {name}_latent[] = {integers(tone.latent)};",
        f"static const float {name}_latent_rest[] = {floats(tone.latent_rest or [0.0])};",
        f"static const int8_t {name}_knob[] = {integers(tone.knob)};",
        f"static const float {name}_knob_rest[] = {floats(tone.knob_rest or [0.0])};",
    ]
    plane, about = "NULL", assignment.models[role].about.plane
    if tone.plane is not None and about is not None:
        grid = np.asarray(about.grid, np.float64).ravel()
        declared.append(f"static const float {name}_grid[] = {floats(grid)};")
        declared.append(
            f"static const TonePlane {name}_plane = {{.x = {tone.plane[0]}, .y = {tone.plane[1]}, "
            f".size = {about.size}, .grid = {name}_grid}};"
        )
        plane = f"&{name}_plane"
    initial = (
        f"{{.latents = {len(tone.latent)}, .knobs = {len(tone.knob)}, .latent = {name}_latent, "
        f".latent_rest = {name}_latent_rest, .plane = {plane},\n             .knob = {name}_knob, "
        f".knob_rest = {name}_knob_rest, .class_parameter = {tone.class_parameter}, "
        f".classes = {tone.classes}, .first_class = {tone.first_class}}}"
    )
    return "\n".join(declared), initial
