"""`vaectrol dissect` and `vaectrol bend`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import onnx

    from common.model_metadata import ModelMetadata
    from quantize.bend.effects import Effect, Signal
    from quantize.bend.material import Feed
    from quantize.bend.sites import Inside, Site

PLAYED = Path(__file__).with_name("played.toml")
"""Instrument and role of kinds of models that are not called as they are."""
BENT_SITES = 4
BUDGET = 0.02
"""Share of the processor that the proposed sites may cost together."""
EVENTS, STREAMS = 3, 2
"""Feeds that every poke of every site is heard with."""

Model = Annotated[Path, typer.Argument(help="A quantized .onnx with Vaectrol's metadata.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(epilog="Example: vaectrol dissect firmware/models/drum.int8.onnx -o drum.html")(dissect)
    app.command(
        epilog="Example: vaectrol bend firmware/models/drum.int8.onnx --sites 'leaky_relu_1' -o bent.onnx · "
        "vaectrol play drum --model drum=bent.onnx"
    )(bend)


@dataclass
class _Opened:
    """A model, its sites, and what it is played with."""

    model: onnx.ModelProto
    about: ModelMetadata
    inside: Inside
    slow: str
    frames_a_second: float
    feeds: list[Feed]
    sites: list[Site]

    def proposed(self, moves: int) -> tuple[list[Signal], list[Effect], list[Effect]]:
        """Poke every site, and choose those of `--sites auto`; minutes.

        Where four of them do not differ, the parts of slow ones are poked too.

        Returns
        -------
        plain, found, chosen
            What the unbent model plays, all effects, and those of the sites that are proposed.
        """
        from quantize.bend.effects import DIFFERENT, greatest_cosine
        from quantize.bend.sites import parts_of
        from quantize.operators.record import is_layer

        plain, found = self._effects(self.sites)
        chosen = self._chosen(found, moves)
        if len(chosen) < BENT_SITES or greatest_cosine(chosen) >= DIFFERENT:
            # what a layer makes has parts worth a look; what follows has the same ones
            parts = [part for part in parts_of(self.sites) if is_layer(part.operator)]
            found += self._effects(parts)[1]
            chosen = self._chosen(found, moves)
        return plain, found, chosen

    def _effects(self, sites: list[Site]) -> tuple[list[Signal], list[Effect]]:
        from quantize.bend.effects import effects

        count = EVENTS if self.frames_a_second == 0 else STREAMS

        def said(name: str, number: int, of: int) -> None:
            typer.echo(f"  site {number} of {of}: {name}", err=True)

        return effects(self.model, self.about, sites, self.feeds[:count], self.slow, said)

    def shares(self, found: list[Effect], moves: int) -> list[float]:
        """Estimate what bending each site costs."""
        from quantize.bend.effects import cost_share

        return [cost_share(one.site, self.frames_a_second, moves) for one in found]

    def _chosen(self, found: list[Effect], moves: int) -> list[Effect]:
        from quantize.bend.effects import LEAST_DB, LEAST_PATTERN, choose, is_sound

        least = LEAST_DB if is_sound(self.about) else LEAST_PATTERN
        return choose(found, self.shares(found, moves), BENT_SITES, BUDGET, least)


def _opened(path: Path) -> _Opened:
    import onnx

    from common import model_metadata
    from common.audio import SAMPLE_RATE_HZ
    from common.refusal import Refusal
    from quantize.bend.material import feeds
    from quantize.bend.sites import Inside
    from quantize.bend.surgery import slow_input

    about = model_metadata.read_file(path)
    if not about.inputs:
        raise Refusal(f"{path.name} does not say what its inputs mean; bend a model from vaectrol quantize.")
    model = onnx.load(str(path))
    inside = Inside(model, path.name)
    slow = slow_input(about, path.name)
    material = feeds(model, about)
    rate = 0.0 if slow.is_event else SAMPLE_RATE_HZ * float(slow.frames_per_sample or 1)
    return _Opened(model, about, inside, slow.name, rate, material, inside.sites(material, slow.name))


def dissect(
    source: Model,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Page to write; MODEL.dissected.html.")
    ] = None,
) -> None:
    """Show every inner signal of a model, what touching it does to the sound, and four worth bending."""
    from common.files import write_text
    from common.outputs import check_file
    from quantize.bend.effects import greatest_cosine
    from quantize.bend.page import dissection

    name = source.name.removesuffix(".onnx").removesuffix(".int8")
    place = out or source.with_name(f"{name}.dissected.html")
    check_file(place, ".html", [source])
    opened = _opened(source)
    plain, found, chosen = opened.proposed(2)
    feeds = opened.feeds[: len(plain)]
    shares = opened.shares(found, 2)
    page = dissection(name, opened.about, opened.inside, feeds, plain, found, chosen, shares)
    write_text(place, page.html())
    worst = greatest_cosine(chosen)
    names = ", ".join(one.site.name for one in chosen)
    typer.echo(f"{len(found)} sites; proposed: {names} (cosine at most {worst:.2f})")
    typer.echo(f"wrote {place}")


def bend(
    source: Model,
    sites: Annotated[
        str, typer.Option(help="auto, or a regular expression of whole names of sites.")
    ] = "auto",
    moves: Annotated[
        str, typer.Option(help="Some of scale,bias,mask,threshold,swap, or all.")
    ] = "scale,bias",
    out: Annotated[Path, typer.Option("-o", "--out", help="Bent model to write.")] = Path("bent.onnx"),
) -> None:
    """Make inner signals of a model into parameters; at noon it is the model it was, bit for bit."""
    from common.files import write_bytes
    from common.outputs import check_file
    from common.refusal import Refusal
    from quantize.bend import surgery
    from quantize.bend.moves import BY_NAME
    from quantize.bend.sites import named

    check_file(out, ".onnx", [source])
    wanted = (
        tuple(BY_NAME) if moves == "all" else tuple(dict.fromkeys(one.strip() for one in moves.split(",")))
    )
    unknown = [one for one in wanted if one not in BY_NAME]
    if unknown:
        raise Refusal(f"there is no move {unknown[0]!r}; choose from {', '.join(BY_NAME)}, or all.")
    opened = _opened(source)
    if sites == "auto":
        chosen = [one.site for one in opened.proposed(len(wanted))[2]]
        if not chosen:
            raise Refusal(
                f"no site of {source.name} is cheap enough for {', '.join(wanted)}; "
                "name one with --sites, or fewer --moves."
            )
    else:
        chosen = named(opened.sites, sites, source.name)
    made = surgery.bend(opened.model, chosen, wanted, source.name)
    write_bytes(out, made.SerializeToString())
    for number, site in enumerate(chosen, 1):
        typer.echo(f"bend.{number}: {site.name} ({site.operator}, {site.channels} channels)")
    kind = opened.about.kind
    instrument, role = tomllib.loads(PLAYED.read_text(encoding="utf-8")).get(kind, (kind, kind))
    typer.echo(f"wrote {out}; try vaectrol play {instrument} --model {role}={out}")
