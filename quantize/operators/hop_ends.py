"""The ends of networks that go by hops: what a texture hears and what sounds stay float."""

from __future__ import annotations

from typing import Any

import torch

from quantize.graph.graph import VAECTROL_DOMAIN, Node
from quantize.operators.record import Operator, register
from train.models.source_filter.ear import Ear
from train.models.source_filter.sound import SourceFilter
from train.models.voice.bank import HarmonicBank

Tensor = torch.Tensor


def ear(node: Node, inputs: list[Any]) -> Tensor:
    """Audio [N, 1, 256·T] to log-mel bands and loudness [N, B + 1, T]."""
    audio, window, bank, weight = inputs
    heard = Ear(len(bank))
    heard.window, heard.bank, heard.weight = window, bank, weight
    made: Tensor = heard(audio)
    return made


def source_filter(node: Node, inputs: list[Any]) -> Tensor:
    """Numbers and control to audio [N, 1, 256·T]."""
    numbers, control, share, window = inputs
    sound = SourceFilter(len(share), int(node.attributes["seed"])).eval()
    sound.share, sound.window = share, window
    made: Tensor = sound(numbers, control)
    return made


def harmonic_bank(node: Node, inputs: list[Any]) -> Tensor:
    """Levels and control to audio [N, 1, 192·T]."""
    numbers, control, filters = inputs
    sound = HarmonicBank(int(node.attributes["harmonics"]), len(filters), int(node.attributes["seed"])).eval()
    sound.filters = filters
    made: Tensor = sound(numbers, control)
    return made


register(
    Operator("Ear", ear, VAECTROL_DOMAIN),
    Operator(
        "SourceFilter", source_filter, VAECTROL_DOMAIN, operands=lambda node: node.inputs[:1], sounds=True
    ),
    Operator(
        "HarmonicBank", harmonic_bank, VAECTROL_DOMAIN, operands=lambda node: node.inputs[:1], sounds=True
    ),
)
