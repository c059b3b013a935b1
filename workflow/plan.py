"""What `vaectrol make` was asked for, and everything that can be refused before its first stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.files import files_below
from common.kinds import check_kind
from common.outputs import check_folder
from common.refusal import Refusal
from workflow.stages import STAMPS

if TYPE_CHECKING:
    from firmware.instruments.kinds.base import ModelRole
    from train.data.kinds.base import Preparation

QUICK = "_quick"
CPU_ALONE, CPU_SHARED = "45%", "18%"
"""Worst share of the processor for an instrument's model: alone, and where several hits sound at once beside
a second model (four of the factory's electronic drums at 17 % each take a Patch SM to 71 %)."""


@dataclass(frozen=True)
class Plan:
    """What is made of what.

    Attributes
    ----------
    kind : str
        What is made, by the name of the shipped instrument of its kind.
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
    folders: Sequence[Path],
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
    names = [role.name for role in roles]
    sources = sources_of(kind, names, folders)
    alone = len(roles) == 1
    if recipe is not None and not alone:
        raise Refusal(f"--recipe is for one model, and a {kind} trains {len(roles)}; leave it out.")
    recipes = {role.name: recipe or recipe_of(role, alone, quick) for role in roles}
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


def roles_of(kind: str) -> list[ModelRole]:
    """Models that a kind of instrument needs.

    Raises
    ------
    Refusal
        No such kind.
    """
    from firmware.instruments import kinds

    required = {
        shipped: [r for r in kinds.named(name).roles if r.required]
        for shipped, name in shipped_instruments().items()
    }
    if not kind:
        made = ", ".join(name for name, roles in required.items() if roles)
        raise Refusal(f"say what to make, with --kind: {made}.")
    check_kind(kind, tuple(required))
    if not required[kind]:
        raise Refusal(
            f"a {kind} needs no model of its own, so there is nothing to make; prepare, train and quantize "
            f"one step by step, then vaectrol build {kind} --model ROLE=FILE."
        )
    return required[kind]


def shipped_instruments() -> dict[str, str]:
    """Return the shipped instrument of every kind, and its kind.

    It bears the kind's name, or else that of a model it plays (a voice is an oscillator, a choir is several).
    """
    from firmware.instruments import kinds
    from firmware.instruments.spec import available_instruments, load_instrument

    shipped = {name: load_instrument(name).spec for name in available_instruments()}
    found = {}
    for kind in kinds.names():
        named = [name for name, spec in shipped.items() if spec.kind == kind]
        named.sort(key=lambda name: name not in shipped[name].models)
        found[kind if kind in named or not named else named[0]] = kind
    return dict(sorted(found.items()))


def sources_of(kind: str, roles: Sequence[str], folders: Sequence[Path]) -> dict[str, Path]:
    """Folder of every model, told apart by the files they hold, so that their order does not matter.

    Raises
    ------
    Refusal
        One too many or too few, or a folder with nothing that could be read.
    """
    for folder in folders:
        if not folder.is_dir():
            raise Refusal(f"there is no folder {folder}; name the folder that holds your sounds.")
    needed = " and ".join(f"one with {preparation(role).what}" for role in roles)
    if len(folders) != len(roles):
        raise Refusal(
            f"a {kind} is made of {in_folders(len(roles))}, {needed}; {in_folders(len(folders))} given."
        )
    left, sources = list(folders), {}
    for role in roles:
        found = next((folder for folder in left if holds(folder, role)), None)
        if found is None:
            reads = preparation(role)
            raise Refusal(
                f"found no {reads.what} in {' and '.join(map(str, left))}; a {role} is made of "
                f"{', '.join(sorted(reads.endings))} files."
            )
        left.remove(found)
        sources[role] = found
    return sources


def in_folders(count: int) -> str:
    """Say so many folders."""
    return "1 folder" if count == 1 else f"{count} folders"


def holds(folder: Path, role: str) -> bool:
    """Tell whether a folder holds anything that a data set of this kind could be made of."""
    endings = preparation(role).endings
    return any(path.suffix.lower().lstrip(".") in endings for path in files_below(folder))


def data_kind(role: str) -> str:
    """Kind of data set that a role's training learns from."""
    from train.kinds import task_class

    return next(iter(task_class(role).data_kinds), role)


def preparation(role: str) -> type[Preparation[Any, Any]]:
    """How a data set of this kind is made."""
    from train.data.kinds import preparation as of

    return of(data_kind(role))


def recipe_of(role: ModelRole, alone: bool, quick: bool) -> str:
    """Name of the recipe for a role, where none was named."""
    if quick:
        return f"{role.name}{QUICK}"
    return role.name if alone or not role.shared_recipe else role.shared_recipe


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
