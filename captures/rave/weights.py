"""What is taken from a RAVE export: the shapes that are read, told by the names and sizes of its tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from captures.rave.archive import Module, read_archive
from common.refusal import Refusal

BATCH_NORM_EPS = 1e-5


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution [outputs, inputs, taps], what is added, and how it lies in time.

    Attributes
    ----------
    before, after : int
        Zeros around what it reads; of a transposed one (`is_up`, [inputs, outputs, taps]) what is cut away.
    """

    weight: np.ndarray
    bias: np.ndarray | None = None
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    is_up: bool = False


@dataclass(frozen=True, eq=False)
class Residual:
    """Pairs of layers, each pair beside the signal that it reads."""

    pairs: list[tuple[Layer, Layer]]


@dataclass(frozen=True, eq=False)
class Rave:
    """A model of the first version's shape.

    Attributes
    ----------
    bank : ndarray [bands, taps]
        Its filter bank.
    encoder : list of Layer
        A leaky function between any two.
    ups : list of (Layer, list of Residual)
        Of the decoder: each layer that raises the rate, with the stacks behind it, which are summed.
    entry, wave, loudness : Layer
        Of the decoder: from the latents, to the bands, to their common gain.
    axes : ndarray [latents, full]
        Rows: what each latent is in the full space; `middle` is its origin.
    """

    bank: np.ndarray
    bank_before: int
    encoder: list[Layer]
    entry: Layer
    ups: list[tuple[Layer, list[Residual]]]
    wave: Layer
    loudness: Layer
    axes: np.ndarray
    middle: np.ndarray
    rate_hz: int
    hop: int
    is_causal: bool
    has_noise: bool
    numbers: int = 0
    facts: dict[str, object] = field(default_factory=dict)


def read_rave(path: Path, latents: int | None = None) -> Rave:
    """Read a .ts.

    Parameters
    ----------
    path : Path
    latents : int, optional
        How many to keep, the most important first; as many as the export had when omitted.

    Raises
    ------
    Refusal
        Another project's file, another version of RAVE, or a stereo one: which, and what to do.
    """
    module = read_archive(path)
    _check(module, path.name)
    shape = _Shape(module, path.name)
    return shape.read(latents)


def _check(module: Module, name: str) -> None:
    """Refuse what is no model of the first version, and say what it is."""
    if not isinstance(module.find("latent_pca"), np.ndarray) or module.find("decoder") is None:
        what = "no variational model of RAVE"
        if module.find("encoder.rvq") is not None:
            what = "a RAVE with discrete latents (v2 discrete or v3)"
        elif module.find("decoder") is None or module.find("pqmf") is None:
            raise Refusal(
                f"{name} is a TorchScript of something else than RAVE; name a .ts that RAVE exported."
            )
        raise Refusal(f"{name} is {what}, and models of RAVE v1's shape are read (v1, onnx, raspberry).")
    if module.find("n_channels") not in (1, None) or module.find("target_channels") not in (1, None):
        count = max(int(module.find(key) or 1) for key in ("n_channels", "target_channels"))
        raise Refusal(
            f"{name} has {count} channels, and models of one are read; export it with --channels 1."
        )
    if module.find("resampler") is not None:
        raise Refusal(f"{name} resamples around the model; export it without --sr.")
    if module.find("pqmf.hk") is None or module.find("input_mode") not in ("pqmf", None):
        raise Refusal(f"{name} has no filter bank before its encoder, as RAVE v1 has; that is not read.")
    if module.find("decoder.synth.branches") is None:
        raise Refusal(
            f"{name} has the layers of RAVE v2 or v3, and those of v1 are read (configs v1, onnx, raspberry)."
        )
    if any(key.endswith("alpha") or ("adain" in key and "fake" not in key) for key, _ in module.arrays()):
        raise Refusal(f"{name} has activations of RAVE v2 or v3 (snake, AdaIN), which are not read.")


class _Shape:
    """Walks through the module."""

    def __init__(self, module: Module, name: str):
        self.module, self.name = module, name
        self.is_causal = self._is_causal()

    def read(self, latents: int | None) -> Rave:
        full = self.array("latent_pca")
        kept = int(self.module.find("latent_size") or len(full)) if latents is None else latents
        if not 1 <= kept <= len(full):
            raise Refusal(f"{self.name} has {len(full)} latents; ask for 1 to {len(full)}, not {kept}.")
        bank = self.array("pqmf.hk")
        encoder = self._encoder(full, kept)
        entry, ups = self._decoder(full[:kept])
        hop = len(bank) * int(np.prod([layer.stride for layer in encoder]))
        raised = len(bank) * int(np.prod([up.stride for up, _ in ups]))
        if hop != raised:
            raise self.wrong(f"its encoder makes a frame of {hop} samples, its decoder {raised} of one")
        total = 2 * (bank.shape[1] // 2)
        return Rave(
            bank=bank.astype(np.float64),
            bank_before=total if self.is_causal else total // 2,
            encoder=encoder,
            entry=entry,
            ups=ups,
            wave=self._conv("decoder.synth.branches.0"),
            loudness=self._conv("decoder.synth.branches.1"),
            axes=full[:kept],
            middle=self.array("latent_mean"),
            rate_hz=int(self.module.find("sr") or 44_100),
            hop=hop,
            is_causal=self.is_causal,
            has_noise=self.module.find("decoder.synth.branches.2") is not None,
            numbers=sum(array.size for key, array in self.module.arrays() if key.endswith("weight")),
            facts={"full_latents": len(full)},
        )

    def wrong(self, what: str) -> Refusal:
        return Refusal(f"{self.name}: {what}; export it again with RAVE 2.3, config v1, onnx or raspberry.")

    def array(self, path: str) -> np.ndarray:
        found = self.module.find(path)
        if not isinstance(found, np.ndarray):
            raise self.wrong(f"{path} is missing")
        if not np.isfinite(found).all():
            raise self.wrong(f"{path} holds a number that is not finite")
        return np.asarray(found, np.float64)

    def _is_causal(self) -> bool:
        """By the padding of an export as files, by the delay of one that streams."""
        first = self.module.find("encoder.encoder.net.0")
        pads = first.fields.get("_pad") if isinstance(first, Module) else None
        if pads is not None:
            return int(pads[1]) == 0
        delay = self.module.find("encoder.encoder.net.0.cumulative_delay")
        if delay is None:
            raise self.wrong("encoder.encoder.net.0 does not say how it is padded")
        return int(delay) == 0

    def _conv(self, path: str, stride: int = 1) -> Layer:
        """A layer, its dilation by its padding."""
        weight, module = self.array(f"{path}.weight"), self.module.find(path)
        if weight.ndim != 3:
            raise self.wrong(f"{path}.weight has {weight.ndim} axes")
        reach = weight.shape[2] - 1
        pads = module.fields.get("_pad")
        total = sum(pads) if pads is not None else module.find("cache.padding")
        total = int(total) if total is not None else reach
        dilation = total // reach if reach else 1
        if reach and dilation * reach != total:
            raise self.wrong(f"{path} is padded by {total} for {weight.shape[2]} taps")
        after = 0 if self.is_causal else (total + 1) // 2
        bias = self.array(f"{path}.bias") if module.fields.get("bias") is not None else None
        return Layer(weight, bias, stride, dilation, total - after, after)

    def _encoder(self, axes: np.ndarray, kept: int) -> list[Layer]:
        """Layers with what normalises them folded in; the mean of what the last one says, on its axes."""
        net = self.module.find("encoder.encoder.net")
        places = sorted(
            int(key) for key, value in net.fields.items() if key.isdigit() and isinstance(value, Module)
        )
        layers: list[Layer] = []
        for place in places:
            path = f"encoder.encoder.net.{place}"
            fields = net.fields[str(place)].fields
            if fields.get("running_mean") is not None:
                layers[-1] = self._normalised(layers[-1], path)
            elif fields.get("weight") is not None:
                taps = self.array(f"{path}.weight").shape[2]
                stride = 1 if not layers or place == places[-1] else (taps - 1) // 2
                layers.append(self._conv(path, stride))
        if len(layers) < 3:
            raise self.wrong("its encoder has too few layers")
        last, before = layers.pop(), layers.pop()
        full, inputs = len(axes), last.weight.shape[1]
        if last.weight.shape[0] != 2 * full or before.weight.shape[0] != 2 * inputs:
            raise self.wrong("its encoder does not end in a mean and a spread of the latents")
        mean = last.weight[:full]
        bias = (
            -self.array("latent_mean") if last.bias is None else last.bias[:full] - self.array("latent_mean")
        )
        half = before.bias[:inputs] if before.bias is not None else None
        layers.append(_replaced(before, before.weight[:inputs], half))
        turned = np.einsum("rf,fik->rik", axes[:kept], mean)
        layers.append(_replaced(last, turned, axes[:kept] @ bias))
        return layers

    def _normalised(self, layer: Layer, path: str) -> Layer:
        gain = self.array(f"{path}.weight") / np.sqrt(self.array(f"{path}.running_var") + BATCH_NORM_EPS)
        bias = np.zeros(len(gain)) if layer.bias is None else layer.bias
        offset = self.array(f"{path}.bias") + gain * (bias - self.array(f"{path}.running_mean"))
        return _replaced(layer, gain[:, None, None] * layer.weight, offset)

    def _decoder(self, axes: np.ndarray) -> tuple[Layer, list[tuple[Layer, list[Residual]]]]:
        net = self.module.find("decoder.net")
        first = self._conv("decoder.net.0")
        offset = first.weight.sum(2) @ self.array("latent_mean")
        entry = _replaced(first, np.einsum("ofk,rf->ork", first.weight, axes), offset)
        ups: list[tuple[Layer, list[Residual]]] = []
        for place in range(1, sum(key.isdigit() for key in net.fields), 2):
            up, stack = f"decoder.net.{place}.net.1", f"decoder.net.{place + 1}.net.branches"
            weight = self.array(f"{up}.weight")
            ratio = weight.shape[2] // 2
            if weight.shape[2] != 2 * ratio or ratio % 2 or not ratio or self.module.find(stack) is None:
                raise self.wrong(f"decoder.net.{place} raises the rate in a way that is not v1's")
            layer = Layer(weight, None, ratio, 1, ratio // 2, ratio - ratio // 2, is_up=True)
            ups.append((layer, [self._residual(f"{stack}.{key}") for key in self._keys(stack)]))
        return entry, ups

    def _residual(self, path: str) -> Residual:
        pairs = []
        for key in self._keys(f"{path}.net"):
            inner = f"{path}.net.{key}.net.aligned.branches.0"
            pairs.append((self._conv(f"{inner}.1"), self._conv(f"{inner}.3")))
        return Residual(pairs)

    def _keys(self, path: str) -> list[str]:
        found = self.module.find(path)
        if not isinstance(found, Module):
            raise self.wrong(f"{path} is missing")
        return sorted((key for key in found.fields if key.isdigit()), key=int)


def _replaced(layer: Layer, weight: np.ndarray, bias: np.ndarray | None) -> Layer:
    return Layer(weight, bias, layer.stride, layer.dilation, layer.before, layer.after, layer.is_up)
