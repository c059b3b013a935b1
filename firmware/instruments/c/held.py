"""What an instrument remembers, in C: static where the image is one instrument, else one struct an instance.

Constants are shared by all instances. What changes is declared as `Held`, and printed in one of two ways: as
static objects, whose addresses cost nothing, or as members of an ``Instance`` (``engine/instance.h``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MAIN_REGIONS = ("", "dtcm")
"""Where the struct itself lies: unnamed memory is DTCM by the linker scripts."""


@dataclass(frozen=True)
class Held:
    """A variable of the generated C: every instance has its own.

    Attributes
    ----------
    ctype, name : str
    count : int, optional
        Of an array.
    region : str
        Where the memory plan wants it; "" where the target's linker knows no regions.
    """

    ctype: str
    name: str
    count: int | None = None
    region: str = ""

    @property
    def declared(self) -> str:
        """Its declaration, as a member of a struct."""
        return f"{self.ctype} {self.name}{'' if self.count is None else f'[{self.count}]'};"

    @property
    def place(self) -> str:
        """Where it lies in an ``Instance``, `self`."""
        return f"self->{self.name}" if self.region in MAIN_REGIONS else f"self->{self.region}->{self.name}"

    @property
    def addresses(self) -> list[str]:
        """C expressions of the address of each."""
        if self.count is None:
            return [f"&{self.name}"]
        return [f"&{self.name}[{number}]" for number in range(self.count)]

    def __str__(self) -> str:
        """Declare it as a static object."""
        place = f'__attribute__((section(".{self.region}.{self.name}"))) '
        return f"{'' if self.region in MAIN_REGIONS else place}static {self.declared}"


@dataclass(frozen=True)
class KindTables:
    """The C that a kind of instrument brings.

    Attributes
    ----------
    declared : sequence of str or Held
        Constants, and what changes, in the order in which they are written.
    spec : str
        Initialiser of the kind's ``Spec``, which points to them.
    """

    declared: Sequence[str | Held]
    spec: str


PANEL = Held("Panel", "panel")


def static_text(struct: str, tables: KindTables) -> str:
    """Write a kind's C for an image of one instrument: ``spec`` and ``instrument`` are static."""
    lines = [
        *map(str, tables.declared),
        f"static const {struct}Spec spec = {tables.spec};",
        str(Held(struct, "instrument")),
    ]
    return "\n".join(lines) + "\n"


class Copied(Protocol):
    """A compiled model whose tables are copied for every instance (``model_calls.CompiledModel``)."""

    @property
    def name(self) -> str:
        """Prefix of its C names."""

    @property
    def state(self) -> Held:
        """Memory for its state."""

    @property
    def copies(self) -> tuple[str, ...]:
        """Regions whose tables are copied, as ``NAME_copy`` takes them."""


def instance_text(struct: str, tables: KindTables, main_region: str, copied: Sequence[Copied] = ()) -> str:
    """Write a kind's C for instances: constants, ``struct Instance``, and how one is placed in memory.

    The spec has pointers to what changes, so every instance has its own.

    Parameters
    ----------
    main_region : str
        Name of the region of the struct itself; "" where the target knows no regions.
    copied : sequence of Copied
        Models whose tables are copied: a piece of memory for each region, behind the others.
    """
    held = [one for one in tables.declared if isinstance(one, Held)]
    regions = sorted({one.region for one in held} - set(MAIN_REGIONS))
    lines = [one for one in tables.declared if isinstance(one, str)]
    for region in regions:
        lines += [
            f"typedef struct {_piece(region)} {{",
            *(f"    {one.declared}" for one in held if one.region == region),
            f"}} {_piece(region)};",
        ]
    wanted = sorted({region for model in copied for region in model.copies})
    for region in wanted:
        lines += [
            f"typedef struct {_copies(region)} {{",
            *(f"    {model.name}_{region} {model.name};" for model in copied if region in model.copies),
            f"}} {_copies(region)};",
        ]
    main = [one for one in held if one.region in MAIN_REGIONS]
    pieces = 1 + len(regions) + len(wanted)
    lines += [
        "struct Instance {",
        *(f"    {_piece(region)} *{region};" for region in regions),
        f"    {PANEL.declared}",
        *(f"    {one.declared}" for one in main),
        f"    {struct}Spec spec;",
        f"    {struct} instrument;",
        "};",
        '_Static_assert(_Alignof(Instance) <= INSTANCE_ALIGNMENT, "an instance asks for more");',
        "static const InstancePiece pieces[] = {",
        f'    {{"{main_region}", sizeof(Instance), false}},',
        *(f'    {{"{region}", sizeof({_piece(region)}), false}},' for region in regions),
        *(f'    {{"{region}", sizeof({_copies(region)}), true}},' for region in wanted),
        "};",
        f"static const InstanceNeeds needs = {{.pieces = {pieces}, .piece = pieces}};",
        "",
        "static Instance *place(void *const *memory)",
        "{",
        f"    for (size_t i = 0; i < {1 + len(regions)}; ++i) {{",
        "        vk_zero(memory[i], pieces[i].bytes);",
        "    }",
        "    Instance *const self = memory[0];",
        *(f"    self->{region} = memory[{number}];" for number, region in enumerate(regions, 1)),
        *(f"#define {one.name} ({one.place})" for one in held),
        *(
            f"    {_copies(region)} *const {region}_copies = memory[{number}];"
            for number, region in enumerate(wanted, 1 + len(regions))
        ),
        *(call for model in copied for call in _copy_calls(model)),
        f"    self->spec = ({struct}Spec){tables.spec};",
        *(f"#undef {one.name}" for one in held),
        "    return self;",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _piece(region: str) -> str:
    return f"Instance{region.title()}"


def _copies(region: str) -> str:
    return f"Copies{region.title()}"


def _copy_calls(model: Copied) -> list[str]:
    places = ", ".join(
        f"{region}_copies == NULL ? NULL : &{region}_copies->{model.name}" for region in model.copies
    )
    return [f"    {model.name}_copy({state}, {places});" for state in model.state.addresses]
