"""Bills of materials: CSV files that say of every part why it has its value."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from common.refusal import Refusal

BOM_DIR = Path(__file__).parent / "bom"
COLUMNS = ("reference", "quantity", "value", "package", "part", "price_euro", "source", "why")
MULTIPLIERS = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6}


class Line(BaseModel):
    """One line: parts of one kind."""

    model_config = ConfigDict(frozen=True)

    reference: str
    quantity: int = Field(gt=0)
    value: str
    package: str
    part: str
    """Maker and number of one that fits; of resistors and capacitors any of the same value and grade does."""
    price_euro: Literal["below 0.5", "0.5 to 5", "over 5"]
    """Class of the price of one, as known when the list was written."""
    source: str = Field(min_length=4)
    """Where it is usually bought."""
    why: str = Field(min_length=4)

    @property
    def references(self) -> list[str]:
        """`R1-R3 R7` as R1, R2, R3, R7."""
        names: list[str] = []
        for word in self.reference.split():
            span = re.fullmatch(r"([A-Z]+)(\d+)-\1(\d+)", word)
            names += [f"{span[1]}{n}" for n in range(int(span[2]), int(span[3]) + 1)] if span else [word]
        return names

    @property
    def amount(self) -> float:
        """The value in ohm, farad or hertz; refuses a value that is none."""
        found = re.match(r"([\d.]+) ?([pnumkM]?)(Ohm|F|Hz)\b", self.value)
        if found is None:
            raise Refusal(f"{self.reference}: {self.value!r} is no amount.")
        return float(found[1]) * MULTIPLIERS[found[2]]


def load_bom(name: str) -> dict[str, Line]:
    """Read `hardware/bom/NAME.csv`; one entry per reference.

    Raises
    ------
    Refusal
        No such file, a column missing, a reference twice, or a quantity that its references do not have.
    """
    path = BOM_DIR / f"{name}.csv"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in BOM_DIR.glob("*.csv")))
        raise Refusal(f"there is no bill of materials {name!r}; choose {known}.")
    parts: dict[str, Line] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise Refusal(f"{path.name}: the columns must be {', '.join(COLUMNS)}.")
        for row in reader:
            line = Line.model_validate(row)
            if len(line.references) != line.quantity:
                raise Refusal(
                    f"{path.name}: {line.reference} are {len(line.references)}, not {line.quantity}."
                )
            for reference in line.references:
                if reference in parts:
                    raise Refusal(f"{path.name}: {reference} stands there twice.")
                parts[reference] = line
    return parts
