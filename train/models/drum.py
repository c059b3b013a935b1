"""The drum VAE: one-shots at 48 kHz; a decoder that streams from 1 kHz controls.

Decoder, per 1 ms frame of (z, knobs, time basis):

    z, knobs, smooth time → conv 1×1 → residual stack at 1 kHz → h
    h → amplitudes × sines, cosines → up ×3 ─────────────────────→ tones
    h → up ×3 → residual stack at 3 kHz → g
    g → direct subbands;  g → gains × filtered noise;  (both) × gate → rough
    tones + rough → PQMF synthesis → audio

The low band's tones are a fixed grid of sines with learned, signed amplitudes, so that pitch needs no
gradient through a frequency; sizzle is noise in 16 subbands through short filters; clicks are subbands
written directly. Every path is causal. The engine evaluates the time basis (``time_basis.py``).

The encoder sees a log-mel picture of the first 1.5 s; it never leaves the desktop.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from train.models.blocks import SLOPE, CausalConv, CausalUpsample, Residual, receptive_past
from train.models.noise import FilteredNoise
from train.models.pqmf import PQMFSynthesis
from train.models.time_basis import TimeBasis, tone_grid

HOP = 48  # samples per control frame: the default block, so the load is flat
BANDS = 16
FRAMES_UP = 3  # 1 kHz controls to 3 kHz subbands


@dataclass(frozen=True)
class DrumShape:
    """Sizes of a drum VAE; channels in multiples of 4.

    Attributes
    ----------
    latents : int
        Size of z.
    attributes : tuple of str
        Continuous knobs beside the classes.
    low, high : int
        Channels at 1 kHz and at 3 kHz.
    low_dilations, high_dilations : tuple of int
        One residual block each.
    tones : int
        Frequencies of the tone grid.
    noise_taps : int
        Taps of each subband's noise filter.
    pqmf_taps : int
        Length of the PQMF prototype: its delay is half of it.
    encoder : int
        Channels of the encoder.
    """

    latents: int = 8
    attributes: tuple[str, ...] = ("brightness", "decay")
    low: int = 64
    high: int = 48
    low_dilations: tuple[int, ...] = (1, 2, 4, 8)
    high_dilations: tuple[int, ...] = (1, 3, 9)
    tones: int = 48
    noise_taps: int = 4
    pqmf_taps: int = 96
    encoder: int = 64
    window_s: float = 2.0
    decays_s: tuple[float, ...] = field(default=(0.002, 0.005, 0.012, 0.03, 0.08, 0.2, 0.5))

    @property
    def knobs(self) -> list[str]:
        """Names of the knob channels, in order."""
        return [f"class:{name}" for name in CLASSES] + list(self.attributes)

    @property
    def basis(self) -> TimeBasis:
        """The time basis."""
        return TimeBasis(self.window_s, 0.05, self.decays_s, tuple(tone_grid(self.tones)))

    @property
    def past_frames(self) -> int:
        """Control frames of past that reach an output sample."""
        high = receptive_past(3, self.high_dilations) + 2 + self.pqmf_taps // BANDS + 3
        return receptive_past(3, self.low_dilations) + -(-high // FRAMES_UP) + 1


class ToneBank(nn.Module):
    """Amplitudes times sines and cosines, upsampled into subbands by overlap-add.

    A frame's tones are continued for two frames by rotating (sin, cos) and faded over from one frame to
    the next by a triangle. Rotation, fade and the PQMF's own response to each frequency are the initial
    weights of one transposed convolution, which training may then move.

    Parameters
    ----------
    basis : TimeBasis
        Whose frequencies to use.
    pqmf_taps : int
        Prototype length of the PQMF that follows.
    """

    def __init__(self, basis: TimeBasis, pqmf_taps: int):
        super().__init__()
        self.up = CausalUpsample(2 * basis.tones, BANDS, 2 * FRAMES_UP, FRAMES_UP, bias=False)
        with torch.no_grad():
            self.up.conv.weight.copy_(torch.tensor(_rotation(basis.frequencies_hz, pqmf_taps)))

    def forward(self, amplitudes: Tensor, carriers: Tensor) -> Tensor:
        """Subbands ``[N, 16, 3·T]`` of the tones."""
        return self.up(amplitudes * carriers)


def _rotation(frequencies_hz: tuple[float, ...], pqmf_taps: int) -> np.ndarray:
    """Weights [2F, BANDS, 2·FRAMES_UP] that continue each tone through the following subband frames."""
    from train.models.pqmf import design_prototype, modulate

    bank = modulate(design_prototype(BANDS, pqmf_taps), BANDS, synthesis=False)
    n = np.arange(pqmf_taps)
    fade = np.concatenate([np.arange(1, FRAMES_UP + 1), np.arange(FRAMES_UP - 1, -1, -1)]) / FRAMES_UP
    weights = np.zeros((2, len(frequencies_hz), BANDS, 2 * FRAMES_UP))
    for index, f in enumerate(frequencies_hz):
        omega = 2 * np.pi * f / SAMPLE_RATE_HZ
        # What the analysis bank makes of exp(iωn), its delay of half a prototype taken out.
        response = (bank * np.exp(-1j * omega * (n - (pqmf_taps - 1) / 2))).sum(1)
        turn = np.exp(1j * omega * BANDS * np.arange(2 * FRAMES_UP)) * fade
        spun = response[:, None] * turn[None, :]
        # Im(spun · (cos + i·sin)): what the sine and the cosine carrier each contribute
        weights[0, index] = spun.real
        weights[1, index] = spun.imag
    return weights.reshape(2 * len(frequencies_hz), BANDS, 2 * FRAMES_UP).astype(np.float32)


class DrumDecoder(nn.Module):
    """``z [N, 8, T]``, ``knobs [N, K, T]``, ``time [N, B, T]`` at 1 kHz to ``audio [N, 1, 48·T]``.

    Parameters
    ----------
    shape : DrumShape
        Sizes.
    seed : int
        Which noise it makes outside training.
    """

    def __init__(self, shape: DrumShape, seed: int = 1):
        super().__init__()
        self.shape = shape
        basis = shape.basis
        self.smooth, self.tones = basis.smooth, basis.tones
        self.inlet = nn.Conv1d(shape.latents + len(shape.knobs) + basis.smooth, shape.low, 1)
        self.low = nn.Sequential(*(Residual(shape.low, 3, d) for d in shape.low_dilations))
        self.activation = nn.LeakyReLU(SLOPE)
        self.amplitudes = nn.Conv1d(shape.low, 2 * basis.tones, 1)
        self.tone_bank = ToneBank(basis, shape.pqmf_taps)
        self.up = CausalUpsample(shape.low, shape.high, 2 * FRAMES_UP, FRAMES_UP)
        self.high = nn.Sequential(*(Residual(shape.high, 3, d) for d in shape.high_dilations))
        self.direct = CausalConv(shape.high, BANDS, 3)
        self.gains = nn.Conv1d(shape.high, BANDS, 1)
        self.filters = nn.Conv1d(shape.high, BANDS * shape.noise_taps, 1)
        self.noise = FilteredNoise(BANDS, shape.noise_taps, 1, seed)
        # The gate, held for the three subband frames of each control frame.
        self.hold = CausalUpsample(1, 1, FRAMES_UP, FRAMES_UP, bias=False)
        nn.init.ones_(self.hold.conv.weight)
        self.hold.conv.weight.requires_grad_(False)
        self.pqmf = PQMFSynthesis(BANDS, shape.pqmf_taps)
        self._begin_quietly()

    def _begin_quietly(self) -> None:
        """Start near silence, with noise filters near a unit impulse: training adds what is missing.

        The gains are exponents and must swing by 12 to fall silent; their weights start large, or silence
        takes hundreds of steps to learn. The noise starts louder than the direct subbands, which would
        otherwise take its place as a buzz and never give it back.
        """
        with torch.no_grad():
            impulse = (torch.arange(BANDS * self.shape.noise_taps) % self.shape.noise_taps == 0).float()
            for layer, scale, offset in (
                (self.gains, 6.0, torch.full((BANDS,), -4.0)),
                (self.filters, 0.3, impulse),
                (self.amplitudes, 0.1, torch.zeros(2 * self.tones)),
                (self.direct.conv, 0.03, torch.zeros(BANDS)),
            ):
                assert layer.bias is not None
                layer.weight.mul_(scale)
                layer.bias.copy_(offset)

    def forward(self, z: Tensor, knobs: Tensor, time: Tensor) -> Tensor:
        """Sound of every frame; see the class."""
        smooth, carriers = time[:, : self.smooth], time[:, self.smooth :]
        x = self.low(self.inlet(torch.cat([z, knobs, smooth], 1)))
        x = self.activation(x)
        tonal = self.tone_bank(self.amplitudes(x), carriers)
        y = self.activation(self.high(self.up(x)))
        gains = torch.exp(torch.clamp(self.gains(y), -12.0, 1.0))
        rough = gains * self.noise(self.filters(y))
        gate = self.hold(time[:, :1])
        return self.pqmf((self.direct(y) + rough) * gate + tonal)


class MelPicture(nn.Module):
    """Log-mel picture of the first moments of a sound, ``[N, 1, S]`` to ``[N, mels, frames]``.

    Parameters
    ----------
    seconds : float
        How much is looked at; shorter sounds are padded with silence.
    mels, size, hop : int
        Bands, FFT size and hop in samples.
    """

    def __init__(self, seconds: float = 1.5, mels: int = 64, size: int = 1024, hop: int = 256):
        super().__init__()
        from librosa.filters import mel

        self.samples = round(seconds * SAMPLE_RATE_HZ)
        self.size, self.hop, self.mels = size, hop, mels
        self.frames = 1 + self.samples // hop
        window = torch.hann_window(size)
        self.register_buffer("window", window, persistent=False)
        bank = mel(sr=SAMPLE_RATE_HZ, n_fft=size, n_mels=mels, fmin=20.0, fmax=20_000.0, norm=None)
        self.register_buffer("bank", torch.tensor(bank, dtype=torch.float32)[:, :, None], persistent=False)
        bins = torch.arange(size // 2 + 1).double()[:, None] * torch.arange(size).double()[None]
        angle = 2 * torch.pi * bins / size
        basis = torch.cat([torch.cos(angle), -torch.sin(angle)]).float() * window
        self.register_buffer("basis", basis[:, None], persistent=False)
        self.window: Tensor
        self.bank: Tensor
        self.basis: Tensor

    def forward(self, audio: Tensor) -> Tensor:
        """The picture."""
        half = self.size // 2
        x = F.pad(audio, (half, self.samples))[..., : self.samples + half]
        x = F.pad(x, (0, half))
        if torch.onnx.is_in_onnx_export():  # as a convolution, which every runtime has
            spectrum = F.conv1d(x, self.basis, stride=self.hop)
            power = spectrum[:, : half + 1] ** 2 + spectrum[:, half + 1 :] ** 2
        else:
            bins = torch.stft(
                x[:, 0], self.size, self.hop, window=self.window, center=False, return_complex=True
            )
            power = bins.real**2 + bins.imag**2
        mel = F.conv1d(power, self.bank)
        return torch.log(mel + 1e-3) * 0.25


class DrumEncoder(nn.Module):
    """Audio ``[N, 1, S]`` to the posterior's ``(mean, log-variance)``, each ``[N, latents]``."""

    def __init__(self, shape: DrumShape):
        super().__init__()
        self.picture = MelPicture()
        width = shape.encoder
        layers: list[nn.Module] = []
        channels, frames = self.picture.mels, self.picture.frames
        for out in (width, width, 2 * width, 2 * width):
            layers += [
                nn.Conv1d(channels, out, 5, stride=2, padding=2),
                nn.GroupNorm(4, out),
                nn.LeakyReLU(SLOPE),
            ]
            channels, frames = out, (frames + 1) // 2
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels * frames, 2 * shape.latents)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each sound."""
        mean, log_variance = self.head(self.body(self.picture(audio)).flatten(1)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)


class DrumVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: DrumShape, seed: int = 1):
        super().__init__()
        self.shape = shape
        self.encoder = DrumEncoder(shape)
        self.decoder = DrumDecoder(shape, seed)
