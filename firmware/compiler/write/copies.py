"""Tables of which every instance has copies, where its port and no linker decides what lies in fast memory.

A region's tables form a struct: one lies in the image, and one in the memory that the port gives for it.
Structs that point to tables are made when an instance is, as members of the state. The code of the layers
names tables as ever; macros lead the names through the state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from firmware.compiler.write.writer import PARAMETERS, Struct, Table, Writer


@dataclass(frozen=True)
class Copies:
    """What a model's instances have copies of.

    Attributes
    ----------
    model : str
        Prefix of the C names.
    tables : mapping of region to its tables, in the order of the struct
    structs : sequence of Struct
        Constants with addresses of tables in them.
    """

    model: str
    tables: Mapping[str, tuple[Table, ...]]
    structs: tuple[Struct, ...]

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions of the board, in the order of the arguments of ``MODEL_copy``."""
        return tuple(self.tables)

    def type_of(self, region: str) -> str:
        """C type of a region's tables."""
        return f"{self.model}_{region}"

    def types(self) -> str:
        """Declare the structs of tables, for the header."""
        parts = ["/* Tables of which every instance has copies, by region of the board. */"]
        for region, tables in self.tables.items():
            members = [f"    _Alignas(8) {t.ctype} {t.name}[{t.count}];" for t in tables]
            name = self.type_of(region)
            parts += [f"typedef struct {name} {{", *members, f"}} {name};"]
        return "\n".join(parts) + "\n"

    def members(self) -> str:
        """Members of the state, behind all that a reset clears."""
        lines = [f"    const {self.type_of(region)} *in_{region};" for region in self.regions]
        lines += [f"    {struct.ctype} {struct.name};" for struct in self.structs]
        return "\n".join(lines)

    @property
    def first_member(self) -> str:
        """The member of the state from which on a reset leaves everything alone."""
        return f"in_{self.regions[0]}"

    def declaration(self) -> str:
        """Head of ``MODEL_copy``."""
        places = "".join(f", {self.type_of(region)} *{region}" for region in self.regions)
        return f"void {self.model}_copy({self.model}_state *s{places})"

    def macros(self) -> str:
        """Let every table's name mean the instance's own."""
        lines = [f"#define {t.name} (s->in_{region}->{t.name})" for region, t in self._listed()]
        lines += [f"#define {struct.name} (s->{struct.name})" for struct in self.structs]
        return "\n".join(lines) + "\n"

    def images(self, initializer: Mapping[str, str]) -> str:
        """Define what is copied.

        Parameters
        ----------
        initializer : mapping of table to its C initializer
        """
        parts = []
        for region, tables in self.tables.items():
            parts.append(f"static const {self.type_of(region)} {region}_image = {{")
            parts += [f".{table.name} = {initializer[table.name]}," for table in tables]
            parts.append("};")
        return "\n".join(parts) + "\n"

    def function(self) -> str:
        """Define ``MODEL_copy``."""
        lines = [f"{self.declaration()} {{"]
        for region in self.regions:
            size = f"sizeof {region}_image"
            lines += [
                f"    if ({region} != NULL) {{",
                f"        vk_copy_rows(&{region}_image, {size}, {region}, {size}, 1, {size});",
                "    }",
                f"    s->in_{region} = {region} != NULL ? {region} : &{region}_image;",
            ]
        lines += [f"    {s.name} = ({s.ctype}){s.text};" for s in self.structs]
        return "\n".join([*lines, "}"]) + "\n"

    def _listed(self) -> list[tuple[str, Table]]:
        return [(region, table) for region, tables in self.tables.items() for table in tables]


def copies_of(writer: Writer, region_of: Mapping[str, str], regions: Collection[str]) -> Copies | None:
    """Choose what is copied: the tables that the memory plan put into `regions`.

    Parameters
    ----------
    region_of : mapping of table to region
        The memory plan.
    regions : collection of str
        Those of which a port gives memory to an instance; the others' tables stay in the image.

    Returns
    -------
    Copies or None
        None where the plan leaves all tables in the image.
    """
    if region_of.get(PARAMETERS) not in regions:
        return None
    tables: dict[str, list[Table]] = {}
    for table in writer.tables.values():
        if region_of[table.name] in regions:
            tables.setdefault(region_of[table.name], []).append(table)
    if not tables:
        return None
    ordered = {region: tuple(tables[region]) for region in sorted(tables)}
    return Copies(writer.prefix, ordered, tuple(writer.structs.values()))
