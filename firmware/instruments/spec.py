"""An instrument file: which model, which control moves what, what goes out of which jack.

A builder writes one without touching C. The file alone is read and checked here, by the schema of its kind;
`firmware.instruments.assign` brings it together with its models and a board.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from common.reading.toml_source import Located, read_toml
from common.refusal import Refusal
from firmware.instruments import kinds
from firmware.instruments.kinds.base import InstrumentKind
from firmware.instruments.schema import LoadedInstrument
from firmware.models.model_file import MODELS_DIR, ModelFile, find_model, read_model

INSTRUMENTS_DIR = Path(__file__).parent


def available_instruments() -> list[str]:
    """Names of the instruments in ``firmware/instruments``, sorted."""
    return sorted(path.stem for path in INSTRUMENTS_DIR.glob("*.toml"))


def load_instrument(name_or_path: str | Path) -> LoadedInstrument:
    """Read an instrument by name (``drum``) or from a TOML file.

    Raises
    ------
    Refusal
        Unknown name, not TOML, or a field that is wrong: file, line, field, reason.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in available_instruments():
            raise Refusal(
                f"there is no instrument {str(name_or_path)!r}; choose {', '.join(available_instruments())}, "
                "or give the path of a .toml file."
            )
        path = INSTRUMENTS_DIR / f"{name_or_path}.toml"
    located = read_toml(path)
    kind = _kind_of(located)
    for old, new in kind.renamed_tables.items():
        if old in located.values:
            raise located.refusal((old,), f"this table has a new name: write {new} in place of {old}")
    spec = located.validated(kind.schema)
    takes = [role.name for role in kind.roles]
    for role in kind.roles:
        if role.required and role.name not in spec.models:
            raise located.refusal(("models",), f"a {kind.name} needs [models] {role.name} = …")
    for name in spec.models:
        if name not in takes:
            raise located.refusal(
                ("models", name),
                f"a {kind.name} takes {' and '.join(takes) or 'no model'}, no model {name!r}",
            )
    return LoadedInstrument(path.stem, spec, located)


def _kind_of(located: Located) -> InstrumentKind:
    named = located.values.get("kind")
    if named is None:
        raise located.refusal(("kind",), f"say which kind it is: {', '.join(kinds.names())}")
    if named not in kinds.names():
        raise located.refusal(
            ("kind",), f"there is no kind of instrument {named!r}; there are {', '.join(kinds.names())}"
        )
    return kinds.named(str(named))


def find_models(loaded: LoadedInstrument, given: Mapping[str, Path] | None = None) -> dict[str, ModelFile]:
    """Read the models an instrument names; `given` replaces them by role, and adds what may be absent.

    Raises
    ------
    Refusal
        A model that is not there, or of another kind than the instrument needs.
    """
    given = dict(given or {})
    takes = [role.name for role in kinds.named(loaded.spec.kind).roles]
    for role in given:
        if role not in takes:
            raise Refusal(f"{loaded.name} takes no model {role!r}; it takes {', '.join(takes) or 'none'}.")
    models = {}
    for role in takes:
        name = loaded.spec.models.get(role)
        if role in given:
            path: Path | None = Path(given[role])
        elif name is None:
            continue
        else:
            path = find_model(name, loaded.located.path.parent)
        if path is None:
            raise loaded.located.refusal(
                ("models", role),
                f"there is no model {name!r} (looked beside the file and in {MODELS_DIR}); train one with "
                f"`vaectrol make` or `vaectrol train`, or say --model {role}=FILE.onnx",
            )
        model = read_model(path)
        takes_kind = kinds.named(loaded.spec.kind).role(role)
        wanted = takes_kind.model_kind or role
        if model.kind not in (wanted, *takes_kind.also):
            raise loaded.located.refusal(
                ("models", role), f"{path.name} is a {model.kind} model, and this needs a {wanted} model"
            )
        models[role] = model
    return models
