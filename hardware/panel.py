"""Front panels to Eurorack dimensions: one description, drawn as SVG (to look at, to print) and DXF (to cut).

Dimensions are those of the Eurorack mechanical specification (Doepfer A-100): 128.5 mm high, 5.08 mm per HP
less a little play, holes of 3.2 mm at 3.0 mm from top and bottom and 7.5 mm from the left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from common.reading.toml_source import read_toml
from common.refusal import Refusal
from hardware.board import Board, Jack, load_board

PANELS_DIR = Path(__file__).parent / "panels"
HEIGHT_MM = 128.5
HP_MM = 5.08
PLAY_MM = 0.3
"""A panel is this much narrower than its HP, so that neighbours do not bind."""
MOUNT_DIAMETER_MM = 3.2
MOUNT_FROM_EDGE_MM = 3.0
MOUNT_FROM_LEFT_MM = 7.5
SECOND_PAIR_FROM_HP = 10
PLAIN_ROWS_MM, PLAIN_STEP_MM = (32.0, 110.0), 16.0
"""First and last row of a panel that nobody has drawn, and the most between two rows."""
NARROW_COLUMNS, NARROW_PARTS, WIDE_COLUMNS = 5, 25, 8
PLAIN_PITCH_MM = 17.0
"""Between the columns of such a panel: as wide as the longest name."""
LABEL_MM, CUT_LABEL_MM = 2.3, 1.5
"""Size of the names: of the type on the drawing, of the capitals that are cut."""
OUTPUT_FIELD_MM = 15.6
RAIL_MM = 10.0
"""Behind this much at top and bottom lies the rail: no parts."""


@dataclass(frozen=True)
class PartSize:
    """A part's hole in the panel and the circle around it that fingers or bodies need."""

    hole_mm: float
    keep_out_mm: float


SIZES = {
    "knob": PartSize(7.2, 14.0),  # 9 mm pot, M7 bushing; a 13 mm cap
    "jack": PartSize(6.2, 11.5),  # PJ398SM, M6; its nut is 8 mm, a plug 10 mm
    "button": PartSize(6.8, 9.0),  # 6 mm cap
    "toggle": PartSize(5.2, 11.0),
    "led": PartSize(3.2, 5.0),
}


class Row(BaseModel):
    """Parts at one height, spread evenly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    y_mm: float
    kind: Literal["knob", "jack", "small"]
    parts: tuple[str, ...] = Field(min_length=1)
    outputs: tuple[str, ...] = ()


class PanelFile(BaseModel):
    """A panel's TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    board: str
    title: str
    subtitle: str = ""
    hp: int = Field(ge=4, le=84)
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Part:
    """One part in its place."""

    name: str
    label: str
    kind: str
    x_mm: float
    y_mm: float
    is_output: bool

    @property
    def size(self) -> PartSize:
        """Hole and keep-out."""
        return SIZES[self.kind]


@dataclass(frozen=True)
class Panel:
    """A panel with everything placed; x from the left edge, y from the top."""

    board: str
    title: str
    subtitle: str
    hp: int
    width_mm: float
    mounts: tuple[tuple[float, float], ...]
    parts: tuple[Part, ...]


def load_panel(name_or_path: str | Path) -> Panel:
    """Read and check a panel by name (`patch_sm`, `rpi`) or from a TOML file.

    Raises
    ------
    Refusal
        A part that the board does not have or the panel lacks, parts that touch, or one behind a rail.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = PANELS_DIR / f"{name_or_path}.toml"
        if not path.exists():
            known = ", ".join(sorted(file.stem for file in PANELS_DIR.glob("*.toml")))
            raise Refusal(f"there is no panel {str(name_or_path)!r}; choose {known}, or give a .toml file.")
    described = read_toml(path).validated(PanelFile)
    board = load_board(described.board)
    panel = place(described, board)
    check(panel, board, path.name)
    return panel


def panel_of(board: Board) -> Panel:
    """Return the panel that serves a board: its own, one of a board with the same parts, or a plain one."""
    panels = [load_panel(file) for file in sorted(PANELS_DIR.glob("*.toml"))]
    for panel in sorted(panels, key=lambda panel: panel.board != board.name):
        if {part.name for part in panel.parts} == board_parts(board):
            return panel
    return plain_panel(board)


def plain_panel(board: Board) -> Panel:
    """Lay a board's parts out in rows, where nobody has drawn a panel: to look at, not to cut."""
    pinned = board_parts(board)
    wired = any(not name.startswith("audio") for name in pinned)

    def names(parts: Iterable[Jack]) -> list[str]:
        return [part.name for part in parts if part.name in pinned or not wired]

    knobs = names(adc for adc in board.adcs if adc.kind == "knob")
    audio_in = [f"audio_in_{number + 1}" for number in range(board.audio.inputs)]
    audio_out = [f"audio_out_{number + 1}" for number in range(board.audio.outputs)]
    into = [*names(adc for adc in board.adcs if adc.kind != "knob"), *names(board.gates_in), *audio_in]
    out = [*names(board.dacs), *names(board.gates_out), *audio_out]
    small = [*names(board.leds), *names(board.buttons)]
    columns = WIDE_COLUMNS if len(knobs) + len(into) + len(out) > NARROW_PARTS else NARROW_COLUMNS
    rows: list[tuple[Literal["knob", "jack", "small"], list[str]]] = []
    rows += [("knob", row) for row in _even(knobs, columns)] + [
        ("small", row) for row in _even(small, columns)
    ]
    rows += [("jack", row) for row in [*_even(into, columns), *_even(out, columns)]]
    top, bottom = PLAIN_ROWS_MM
    step = min(PLAIN_STEP_MM, (bottom - top) / max(1, len(rows) - 1))
    described = PanelFile(
        board=board.name,
        title="VAECTROL",
        subtitle=board.title,
        hp=math.ceil((columns * PLAIN_PITCH_MM + PLAY_MM) / HP_MM),
        rows=tuple(
            Row(y_mm=round(top + at * step, 2), kind=kind, parts=tuple(parts), outputs=tuple(out))
            for at, (kind, parts) in enumerate(rows)
        ),
    )
    return place(described, board)


def _even(names: list[str], columns: int) -> list[list[str]]:
    """Divide names over as few rows as they need, none of which is much shorter than another."""
    rows = -(-len(names) // columns)
    share = -(-len(names) // rows) if rows else 1
    return [names[at : at + share] for at in range(0, len(names), share)]


def place(described: PanelFile, board: Board) -> Panel:
    """Put every part in its place, under the name that the board gives it."""
    names = printed_names(board)
    width = described.hp * HP_MM - PLAY_MM
    columns = [MOUNT_FROM_LEFT_MM]
    if described.hp >= SECOND_PAIR_FROM_HP:
        columns.append(MOUNT_FROM_LEFT_MM + (described.hp - 3) * HP_MM)
    heights = (MOUNT_FROM_EDGE_MM, HEIGHT_MM - MOUNT_FROM_EDGE_MM)
    parts = []
    for row in described.rows:
        for index, name in enumerate(row.parts):
            parts.append(
                Part(
                    name=name,
                    label=names.get(name, ""),
                    kind=name.split("_")[0] if row.kind == "small" else row.kind,
                    x_mm=round(width * (index + 0.5) / len(row.parts), 3),
                    y_mm=row.y_mm,
                    is_output=name in row.outputs,
                )
            )
    mounts = tuple((x, y) for x in columns for y in heights)
    return Panel(
        described.board,
        described.title,
        described.subtitle,
        described.hp,
        round(width, 3),
        mounts,
        tuple(parts),
    )


def printed_names(board: Board) -> dict[str, str]:
    """What a panel prints beside each knob and jack of a board; no two are the same.

    Everything that names a part to a person takes the name from here: panel, wiring, schematic, pages.
    A board's file may give a part another one (``label``), as on a module that is sold.
    """
    groups = (board.adcs, board.dacs, board.gates_in, board.gates_out)
    names = {part.name: part.label or _printed(part.name) for group in groups for part in group}
    for way, channels in (("in", board.audio.inputs), ("out", board.audio.outputs)):
        names |= {f"audio_{way}_{n + 1}": _printed(f"audio_{way}_{n + 1}") for n in range(channels)}
    return names


def _printed(name: str) -> str:
    """`gate_in_1` is GATE IN 1, `cv_1` CV 1, `audio_out_2` OUT R."""
    words = name.split("_")
    if words[0] == "audio":
        return f"{words[1].upper()} {'LR'[int(words[2]) - 1]}"
    return " ".join(words).upper()


def board_parts(board: Board) -> set[str]:
    """Every name of a board that belongs on a panel: what is wired to its header, and audio."""
    groups = (board.adcs, board.dacs, board.gates_in, board.gates_out, board.buttons, board.leds)
    names = {part.name for group in groups for part in group if part.pin}
    names |= {f"audio_in_{n + 1}" for n in range(board.audio.inputs)}
    return names | {f"audio_out_{n + 1}" for n in range(board.audio.outputs)}


def check(panel: Panel, board: Board, where: str) -> None:
    """Refuse a panel that cannot be built."""
    names = [part.name for part in panel.parts]
    for name in names:
        if name not in board_parts(board):
            raise Refusal(f"{where}: {board.name} has no {name}.")
        if names.count(name) > 1:
            raise Refusal(f"{where}: {name} stands there twice.")
    called: dict[str, str] = {}
    for part in panel.parts:
        if part.label and called.setdefault(part.label, part.name) != part.name:
            raise Refusal(
                f"{where}: {called[part.label]} and {part.name} of {board.name} are both called "
                f"{part.label!r}; give one of them another label in the board's file."
            )
    missing = sorted(board_parts(board) - set(names))
    if missing:
        raise Refusal(f"{where}: {missing[0]} of {board.name} has no place on the panel.")
    for index, part in enumerate(panel.parts):
        reach = part.size.keep_out_mm / 2
        if not (reach <= part.x_mm <= panel.width_mm - reach):
            raise Refusal(f"{where}: {part.name} reaches over the edge.")
        if not (RAIL_MM + part.size.hole_mm / 2 <= part.y_mm <= HEIGHT_MM - RAIL_MM - part.size.hole_mm / 2):
            raise Refusal(f"{where}: {part.name} at {part.y_mm:g} mm lies behind a rail.")
        for other in panel.parts[:index]:
            apart = math.hypot(part.x_mm - other.x_mm, part.y_mm - other.y_mm)
            need = (part.size.keep_out_mm + other.size.keep_out_mm) / 2
            if apart < need:
                raise Refusal(
                    f"{where}: {part.name} and {other.name} are {apart:.1f} mm apart and need {need:.1f} mm."
                )


def svg(panel: Panel) -> str:
    """Draw the panel at true size (1 user unit = 1 mm): what it looks like, with knobs and nuts."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{panel.width_mm}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {panel.width_mm} {HEIGHT_MM}" font-family="Helvetica, Arial, sans-serif">',
        f"<title>{panel.title}, {panel.hp} HP</title>",
        f'<rect width="{panel.width_mm}" height="{HEIGHT_MM}" rx="0.6" fill="#e9e6df" stroke="#8d8a83" '
        'stroke-width="0.15"/>',
        *_output_fields(panel),
        f'<text x="{panel.width_mm / 2}" y="14.6" font-size="5" font-weight="bold" letter-spacing="0.9" '
        f'text-anchor="middle" fill="#1d2b36">{panel.title}</text>',
        f'<text x="{panel.width_mm / 2}" y="19" font-size="2.5" text-anchor="middle" fill="#1d2b36">'
        f"{panel.subtitle}</text>",
    ]
    for x, y in panel.mounts:
        lines.append(_circle(x, y, MOUNT_DIAMETER_MM, "#fff", "#8d8a83", "mount"))
    for part in panel.parts:
        lines.append(f'<g id="{part.name}" data-part="{part.name}" data-kind="{part.kind}">')
        lines += [*_drawn(part), "</g>"]
    return "\n".join([*lines, "</svg>", ""])


def _circle(x: float, y: float, diameter: float, fill: str, stroke: str, kind: str) -> str:
    return (
        f'<circle class="{kind}" cx="{x:g}" cy="{y:g}" r="{diameter / 2:g}" fill="{fill}" stroke="{stroke}" '
        'stroke-width="0.2"/>'
    )


def _output_fields(panel: Panel) -> Iterator[str]:
    """Dark fields behind outputs, as Eurorack panels have them."""
    for part in panel.parts:
        if part.is_output:
            yield (
                f'<rect x="{part.x_mm - OUTPUT_FIELD_MM / 2:g}" y="{part.y_mm - 9.4:g}" '
                f'width="{OUTPUT_FIELD_MM}" height="14.6" rx="1.4" fill="#1d2b36"/>'
            )


def _drawn(part: Part) -> Iterator[str]:
    colours = {
        "led": "#d8482f",
        "button": "#c9c4b8",
        "toggle": "#c9c4b8",
        "knob": "#2c2c2c",
        "jack": "#9a9a9a",
    }
    outer = {"knob": 13.0, "jack": 8.0, "button": 6.0, "toggle": 8.0, "led": 3.0}[part.kind]
    yield _circle(part.x_mm, part.y_mm, outer, colours[part.kind], "#333", "cap")
    yield _circle(part.x_mm, part.y_mm, part.size.hole_mm, "none", "#e0a030", "hole")
    if part.kind == "jack":
        yield _circle(part.x_mm, part.y_mm, 3.6, "#111", "#111", "bore")
    if part.kind == "knob":
        yield (
            f'<line x1="{part.x_mm:g}" y1="{part.y_mm - 2:g}" x2="{part.x_mm:g}" y2="{part.y_mm - 6:g}" '
            'stroke="#f4f1ea" stroke-width="0.8"/>'
        )
    if part.label:
        ink = "#f4f1ea" if part.is_output else "#1d2b36"
        y = part.y_mm - (8.3 if part.kind == "knob" else 5.6)
        yield (
            f'<text x="{part.x_mm:g}" y="{y:g}" font-size="{LABEL_MM}" text-anchor="middle" fill="{ink}">'
            f"{part.label}</text>"
        )


def write_dxf(panel: Panel, path: Path) -> None:
    """Write what is cut: outline, holes on layer DRILL, labels on layer ENGRAVE; millimetres, y upwards."""
    import ezdxf
    from ezdxf import units
    from ezdxf.enums import TextEntityAlignment

    document = ezdxf.new("R2010", units=units.MM)
    for name, colour in (("OUTLINE", 7), ("DRILL", 1), ("ENGRAVE", 5)):
        document.layers.add(name, color=colour)
    space = document.modelspace()
    corners = [(0, 0), (panel.width_mm, 0), (panel.width_mm, HEIGHT_MM), (0, HEIGHT_MM)]
    space.add_lwpolyline(corners, close=True, dxfattribs={"layer": "OUTLINE"})
    holes = [(x, y, MOUNT_DIAMETER_MM) for x, y in panel.mounts]
    holes += [(part.x_mm, part.y_mm, part.size.hole_mm) for part in panel.parts]
    for x, y, diameter in holes:
        space.add_circle((x, HEIGHT_MM - y), diameter / 2, dxfattribs={"layer": "DRILL"})
    texts = [(panel.title, panel.width_mm / 2, 13.0, 4.0)]
    texts += [
        (part.label, part.x_mm, part.y_mm - _text_above(part), CUT_LABEL_MM)
        for part in panel.parts
        if part.label
    ]
    for text, x, y, height in texts:
        written = space.add_text(text, height=height, dxfattribs={"layer": "ENGRAVE"})
        written.set_placement((x, HEIGHT_MM - y), align=TextEntityAlignment.MIDDLE_CENTER)
    part_path = path.with_suffix(".part")
    document.saveas(part_path)
    part_path.replace(path)


def _text_above(part: Part) -> float:
    return 9.2 if part.kind == "knob" else 6.5
