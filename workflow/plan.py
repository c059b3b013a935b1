"""What `vaectrol make` was asked for, and everything that can be refused before its first stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.kinds import check_kind
from common.outputs import check_folder
from common.refusal import Refusal
from workflow.stages import STAMPS

QUICK = "_quick"
CPU_ALONE, CPU_SHARED = "45%", "18%"
"""Worst share of the processor for an instrument's model: alone, and where several hits sound at once beside
a second model (four of the factory's electronic drums at 17 % each take a Patch SM to 71 %)."""
SHARED_RECIPES = {"drum": "drum_electronic"}
"""Recipe of a model that shares its instrument with another: a smaller one."""


@dataclass(frozen=True)
class Plan:
    """What is made of what.

    Attributes
    ----------
    kind : str
        Of the instrument; the shipped instrument of a kind has its name.
    sources : dict
        Sounds, patterns or pairs of every model the instrument needs, by the model's role.
    recipes : dict
        Recipe name or file, by role.
    board : str
        Board name or file.
    folder : Path
        Where everything goes.
    train_time : str
        Wall-clock budget of each training, as ``10m``.
    train_s : float
        The same in seconds.
    cpu : str
        Share of the processor each model may take at worst.
    quick : bool
        Judge on few sounds, tune for seconds.
    """

    kind: str
    sources: Mapping[str, Path]
    recipes: Mapping[str, str]
    board: str
    folder: Path
    train_time: str
    train_s: float
    cpu: str
    quick: bool


def make_plan(
    kind: str,
    source: Path,
    rhythms: Path | None,
    *,
    board: str,
    folder: Path,
    recipe: str | None,
    train_time: str,
    cpu: str | None,
    quick: bool,
) -> Plan:
    """Check all that was asked for.

    Raises
    ------
    Refusal
        A kind, source, recipe, board, length of time, share or folder that no stage could work with.
    """
    roles = roles_of(kind)
    sources = sources_of(kind, roles, source, rhythms)
    if recipe is not None and len(roles) > 1:
        raise Refusal(f"--recipe is for one model, and a {kind} trains {len(roles)}; leave it out.")
    alone = len(roles) == 1
    recipes = {role: recipe or recipe_of(role, alone, quick) for role in roles}
    share = cpu or (CPU_ALONE if alone else CPU_SHARED)
    check_board(board, share)
    for role, name in recipes.items():
        check_recipe(role, name)
    train_s = check_time(train_time)
    check_folder(folder, ours=STAMPS)
    for place in sources.values():
        if folder.resolve().is_relative_to(place.resolve()):
            raise Refusal(f"{folder} lies inside {place}, which is read; choose a folder elsewhere with -o.")
    return Plan(kind, sources, recipes, board, folder, train_time, train_s, share, quick)


def roles_of(kind: str) -> list[str]:
    """Roles of the models that a kind of instrument needs.

    Raises
    ------
    Refusal
        No such kind.
    """
    from firmware.instruments import kinds

    check_kind(kind, kinds.names())
    return [role.name for role in kinds.named(kind).roles if role.required]


def sources_of(kind: str, roles: list[str], source: Path, rhythms: Path | None) -> dict[str, Path]:
    """Folder of every model: SRC, and ``--rhythms`` for the patterns of a kind that needs both.

    Raises
    ------
    Refusal
        One too many or too few, or a folder with nothing that could be read.
    """
    several = len(roles) > 1
    if several and rhythms is None:
        raise Refusal(f"a {kind} needs a folder of MIDI patterns too: --rhythms FOLDER.")
    if not several and rhythms is not None:
        raise Refusal(f"--rhythms is for a groove; a {kind} is made of {source} alone.")
    sources = {role: rhythms if several and role == "rhythm" and rhythms else source for role in roles}
    for role, folder in sources.items():
        check_source(role, folder)
    return sources


def check_source(role: str, folder: Path) -> None:
    """Refuse a folder that holds nothing a data set of this kind could be made of."""
    from train.data.kinds import preparation

    reads = preparation(role)
    if not folder.is_dir():
        raise Refusal(f"there is no folder {folder}; name the folder that holds your sounds.")
    if not any(path.suffix.lower().lstrip(".") in reads.endings for path in folder.rglob("*")):
        endings = ", ".join(sorted(reads.endings))
        raise Refusal(f"{folder} holds no {reads.what}; a {role} is made of {endings} files.")


def recipe_of(role: str, alone: bool, quick: bool) -> str:
    """Name of the recipe for a role, where none was named."""
    return f"{role}{QUICK}" if quick else role if alone else SHARED_RECIPES.get(role, role)


def check_recipe(role: str, name: str) -> None:
    """Refuse a recipe that is not there, is wrong, or trains something else."""
    from train.kinds import load_recipe

    found = load_recipe(name)
    if found.kind != role:
        raise Refusal(f"the recipe {name} trains a {found.kind}, and this needs a {role}.")


def check_board(board: str, cpu: str) -> None:
    """Refuse a board without a Cortex-M7, or a share of its processor that is none."""
    from bench.predict import require_m7
    from hardware.board import load_board
    from quantize.budget import parse_share

    require_m7(load_board(board))
    parse_share(cpu)


def check_time(text: str) -> float:
    """Seconds of a wall-clock budget; a Refusal where it is none."""
    from train.commands import seconds

    return seconds(text)
