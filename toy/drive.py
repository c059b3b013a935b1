"""Dry and wet pairs: each dry phrase through several distortions, every parameter written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from toy.chain import Chain, apply, draw
from toy.phrases import Phrase, phrase

WETS_PER_PHRASE = 3


@dataclass(frozen=True)
class Pair:
    """One dry phrase and one distorted version of it, both float32 [n] at 48 kHz."""

    name: str
    phrase: Phrase
    wet: np.ndarray
    effect: str
    chain: list[dict[str, Any]]


def pair(seed: int, index: int, chains: list[Chain], seconds: float) -> Pair:
    """Make pair ``index``: phrase ``index // 3`` through a chain; chains follow one another."""
    number, take = divmod(index, WETS_PER_PHRASE)
    dry = phrase(seed, number, seconds)
    chain = chains[index % len(chains)]
    drawn = draw(chain, np.random.default_rng([seed, 22, index]))
    return Pair(f"{dry.name}_{take}_{chain.name}", dry, apply(drawn, dry.audio), chain.name, drawn)


def pairs(seed: int, items: int, chains: list[Chain], seconds: float) -> Iterator[Pair]:
    """Yield the first ``items`` pairs of the set with that seed."""
    for index in range(items):
        yield pair(seed, index, chains, seconds)


def describe(one: Pair) -> dict:
    """Manifest entry of one pair; ``parameters`` flattens the chain to ``effect.parameter``."""
    parameters = {
        f"{step['use'].removeprefix('pedalboard.')}.{key}": value
        for step in one.chain
        for key, value in step.items()
        if key not in ("use", "oversampling")
    }
    return {
        "name": one.name,
        "dry": f"dry/{one.phrase.name}.wav",
        "wet": f"wet/{one.name}.wav",
        "group": one.phrase.name,
        "effect": one.effect,
        "chain": one.chain,
        "parameters": parameters,
        "phrase": one.phrase.parameters,
    }
