"""How much of each parameter can be heard: ``python -m toy.audible`` prints a table.

A parameter that hardly changes the sound can hardly be read from it, by a network or an ear. Every chain is
applied to some phrases; then each of its parameters is moved by ``STEP`` of its range's standard deviation,
the others held. Two figures, each error energy over signal energy (ESR), the median of the phrases:

- ``change``: of the moved sound against the first;
- ``own``: what is left of that change when the best mixture of the other parameters' changes has been taken
  off. More drive and fewer diodes sound alike: then neither is to be read, though both are heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from toy.chain import Chain, apply, draw, factory_chains, in_ratio
from toy.phrases import phrase

# Who reads a parameter with R² = 0.8 is off by √0.2 standard deviations in the root mean square.
STEP = math.sqrt(0.2)


@dataclass(frozen=True)
class Audible:
    """What moving one parameter changes, medians of ESR."""

    effect: str
    parameter: str
    change: float
    own: float


def moved(chain: Chain, drawn: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The drawn chain again for every parameter that has a range, that one moved towards its far end."""
    out = {}
    for number, effect in enumerate(chain.effects):
        for key, value in effect.items():
            if not isinstance(value, list):
                continue
            low, high = value
            now, ratio = drawn[number][key], in_ratio(key)
            if ratio:
                low, high, now = math.log(low), math.log(high), math.log(now)
            step = STEP * (high - low) / math.sqrt(12)
            there = now + step if now < (low + high) / 2 else now - step
            changed = [dict(one) for one in drawn]
            changed[number][key] = math.exp(there) if ratio else there
            out[f"{effect['use'].removeprefix('pedalboard.')}.{key}"] = changed
    return out


def measure(chain: Chain, phrases: int, seconds: float = 1.5, seed: int = 0) -> list[Audible]:
    """Measure every parameter of a chain on so many phrases, new parameters for each."""
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(phrases):
        dry = phrase(seed, number, seconds).audio
        drawn = draw(chain, np.random.default_rng([seed, number]))
        wet = apply(drawn, dry).astype(float)
        power = float((wet**2).sum())
        if power == 0:
            continue
        changes = {name: apply(one, dry) - wet for name, one in moved(chain, drawn).items()}
        for name, change in changes.items():
            left = change
            others = np.array([other for key, other in changes.items() if key != name])
            if len(others):
                weights = np.linalg.lstsq(others.T, change, rcond=None)[0]
                left = change - weights @ others
            found.setdefault(name, []).append(
                (float((change**2).sum()) / power, float((left**2).sum()) / power)
            )
    return [
        Audible(chain.name, name, *(float(np.median(column)) for column in zip(*values, strict=True)))
        for name, values in found.items()
    ]


def main(phrases: int = 12) -> None:
    """Print the table of the chains that ship."""
    print("| effect | parameter | change | own |\n|---|---|---|---|")
    for chain in factory_chains():
        for one in measure(chain, phrases):
            print(f"| {one.effect} | {one.parameter} | {one.change:.4f} | {one.own:.4f} |", flush=True)


if __name__ == "__main__":
    main()
