"""A chain of effects, read from TOML: a list of (effect, parameters), drawn and applied.

``use`` names one of our own curves (:data:`toy.effects.EFFECTS`) or ``pedalboard.NAME`` for any plugin class
of pedalboard; every other key is one of its parameters: a number, or ``[low, high]`` to be drawn for each
item (evenly in ratio when the name ends in ``_hz``). ``oversampling`` may stand with any effect.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from toy.effects import EFFECTS, OVERSAMPLING, oversampled

CHAINS = Path(__file__).with_name("chains")


@dataclass(frozen=True)
class Chain:
    """A named list of effects; parameters may still be ranges."""

    name: str
    says: str
    effects: tuple[dict[str, Any], ...]


def read_chain(path: Path) -> Chain:
    """Read and check one chain file.

    Raises
    ------
    Refusal
        When the file cannot be read, is not TOML, or names an effect or parameter that does not exist.
    """
    try:
        table = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise Refusal(f"cannot read the chain {path}: {error.strerror}; name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is not TOML: {error}; see toy/chains for examples") from error
    effects = table.get("effect")
    if not isinstance(effects, list) or not effects:
        raise Refusal(f"{path} has no [[effect]] table; see toy/chains for examples")
    for effect in effects:
        _check(effect, path)
    return Chain(str(table.get("name", Path(path).stem)), str(table.get("says", "")), tuple(effects))


def factory_chains() -> list[Chain]:
    """The chains that ship with the project, by name."""
    return [read_chain(path) for path in sorted(CHAINS.glob("*.toml"))]


def _check(effect: dict[str, Any], path: Path) -> None:
    name = effect.get("use")
    if not isinstance(name, str):
        raise Refusal(
            f"an [[effect]] in {path} has no 'use'; name one of {', '.join(EFFECTS)} or pedalboard.NAME"
        )
    settings = {key: value for key, value in effect.items() if key not in ("use", "oversampling")}
    for key, value in settings.items():
        if isinstance(value, list) and (
            len(value) != 2 or not all(isinstance(v, int | float) for v in value) or value[0] > value[1]
        ):
            raise Refusal(f"{key} of {name} in {path} is {value}; write a number or [low, high]")
    if name.startswith("pedalboard."):
        try:
            _pedal(name, {key: v[0] if isinstance(v, list) else v for key, v in settings.items()})
        except (TypeError, ValueError, AttributeError) as error:
            raise Refusal(
                f"{name} in {path} cannot be made with {settings}: {str(error).splitlines()[0]}"
            ) from error
    elif name in EFFECTS:
        wanted = set(EFFECTS[name].ranges)
        if set(settings) != wanted:
            raise Refusal(
                f"{name} in {path} wants exactly {', '.join(sorted(wanted))}; it has {sorted(settings)}"
            )
    else:
        raise Refusal(
            f"{path} uses an unknown effect '{name}'; there are {', '.join(EFFECTS)} and pedalboard.NAME"
        )


def _pedal(name: str, settings: dict[str, Any]) -> Any:
    import pedalboard

    kind = getattr(pedalboard, name.removeprefix("pedalboard."))
    if not (isinstance(kind, type) and issubclass(kind, pedalboard.Plugin)):
        raise TypeError(f"{name} is no pedalboard plugin")
    return kind(**settings)


def in_ratio(parameter: str) -> bool:
    """Whether a parameter's range is drawn evenly in ratio."""
    return parameter.endswith("_hz")


def draw(chain: Chain, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Choose a value for every range of the chain: what :func:`apply` takes and the manifest logs."""
    drawn = []
    for effect in chain.effects:
        one: dict[str, Any] = {}
        for key, value in effect.items():
            if isinstance(value, list):
                low, high = value
                if in_ratio(key):
                    one[key] = float(low * (high / low) ** rng.random())
                else:
                    one[key] = float(rng.uniform(low, high))
            else:
                one[key] = value
        drawn.append(one)
    return drawn


def apply(effects: list[dict[str, Any]], dry: np.ndarray) -> np.ndarray:
    """Send a phrase through drawn effects.

    Parameters
    ----------
    effects : list of dict
        From :func:`draw`.
    dry : ndarray [n]
        Mono audio at 48 kHz.

    Returns
    -------
    float32 ndarray [n]
        The wet phrase, aligned with the dry one.
    """
    x = np.asarray(dry, float)
    for effect in effects:
        name = effect["use"]
        settings = {key: value for key, value in effect.items() if key not in ("use", "oversampling")}
        factor = int(effect.get("oversampling", OVERSAMPLING if name in EFFECTS else 1))
        rate_hz = float(SAMPLE_RATE_HZ * factor)
        if name in EFFECTS:
            x = oversampled(x, lambda u: EFFECTS[name].curve(u, rate_hz, **settings), factor)  # noqa: B023
        else:
            pedal = _pedal(name, settings)
            x = oversampled(x, lambda u: pedal(u.astype(np.float32), rate_hz), factor)  # noqa: B023
    return x.astype(np.float32)
