"""Losses that several tasks share: the ELBO's pull, spectra, levels and strokes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ
from train.models.source_filter.mel_bank import mel_bank


def kl_per_latent(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q ‖ N(0, 1)) of each latent, averaged over the batch: ``[N, Z]`` to ``[Z]``, in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).mean(0)


def kl_loss(mean: Tensor, log_variance: Tensor, free_bits: float) -> Tensor:
    """Sum of the latents' KL, of which the first ``free_bits`` nats of each are free (Kingma et al. 2016)."""
    return (kl_per_latent(mean, log_variance) - free_bits).clamp(min=0.0).sum()


def ramp(progress: float, length: float) -> float:
    """Rise from 0 to 1 over the first ``length`` of the training."""
    return 1.0 if length <= 0 else min(1.0, progress / length)


class SpectralLoss(nn.Module):
    """Multi-resolution STFT distance (Yamamoto et al. 2020), of log and linear magnitudes.

    Equals auraloss's ``MultiResolutionSTFTLoss`` with these terms, in two thirds of its time, for auraloss
    takes the phases too. The spectral-convergence term (Arik et al. 2019), which is about the loudest bins,
    divides by the target's energy and would blow up on the silent tails that one-shots have; here a part of
    the batch's mean energy is added to the divisor.

    Parameters
    ----------
    sizes : tuple of int
        FFT sizes; the hop is a quarter.
    floor : float
        Power below which a bin counts as silent; 1e-6 is noise at −77 to −89 dBFS, by
        size. What is quieter than that does not matter.
    linear : float
        Weight of linear magnitudes beside log ones.
    convergence : float
        Weight of the spectral convergence beside log magnitudes.
    mel : float
        Weight of the log power of mel bands beside log magnitudes. A bin of noise says little of its level,
        and log magnitudes alone settle for too little of it; a band holds several bins.
    """

    MEL_BANDS = 80  # of 2048 samples; shorter ones have fewer
    MEL_SHORTEST = 512  # below it a band is narrower than a bin
    MEL_FLOOR = 1e-7  # power of full scale below which a band counts as silent
    QUIET = 0.03  # part of the batch's mean energy below which an item's convergence counts less

    def __init__(
        self,
        sizes: tuple[int, ...] = (2048, 512, 128),
        floor: float = 1e-6,
        linear: float = 0.5,
        convergence: float = 0.0,
        mel: float = 0.0,
    ):
        super().__init__()
        self.sizes, self.floor, self.linear, self.convergence = sizes, floor, linear, convergence
        self.mel = mel
        for size in sizes:
            self.register_buffer(f"window{size}", torch.hann_window(size), persistent=False)
            if mel and size >= self.MEL_SHORTEST:
                bank = mel_bank(self.MEL_BANDS * size // 2048, size // 2 + 1)
                bank /= bank.sum(1, keepdims=True) * (size / 4) ** 2
                self.register_buffer(f"bank{size}", torch.tensor(bank, dtype=torch.float32), persistent=False)

    def magnitudes(self, audio: Tensor, size: int) -> Tensor:
        """Magnitudes ``[N, bins, frames]`` of ``audio [N, 1, S]``."""
        window = getattr(self, f"window{size}")
        bins = torch.stft(audio[:, 0], size, size // 4, window=window, return_complex=True)
        return bins.abs().clamp(min=self.floor**0.5)

    def forward(self, made: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compare ``[N, 1, S]`` with ``[N, 1, S]``; a frame counts by ``weight [N, 1, S]`` at its middle."""
        total = made.new_zeros(())
        for size in self.sizes:
            a, b = self.magnitudes(made, size), self.magnitudes(wanted, size)
            far = (torch.log(a) - torch.log(b)).abs() + self.linear * (a - b).abs()
            if weight is not None:
                middles = torch.arange(far.shape[-1], device=far.device) * (size // 4)
                far = far * weight[..., middles.clamp(max=weight.shape[-1] - 1)]
            total = total + far.mean()
            if self.convergence:
                energy = b.square().sum((1, 2))
                ratio = (a - b).square().sum((1, 2)) / (energy + self.QUIET * energy.mean())
                total = total + self.convergence * (torch.sqrt(ratio + 1e-6).mean() - 1e-3)
            if self.mel and size >= self.MEL_SHORTEST:
                total = total + self.mel * (self.bands(a, size) - self.bands(b, size)).abs().mean()
        return total / len(self.sizes)

    def bands(self, magnitudes: Tensor, size: int) -> Tensor:
        """Log power of mel bands, nats, ``[N, bands, frames]`` of ``magnitudes [N, bins, frames]``."""
        return torch.log(getattr(self, f"bank{size}") @ magnitudes.square() + self.MEL_FLOOR)


def transient_loss(made: Tensor, wanted: Tensor, window: Tensor) -> Tensor:
    """L1 distance of waveforms where ``window [N, 1, S]`` is set: the attack, whose phase is heard."""
    return ((made - wanted).abs() * window).sum() / window.sum().clamp(min=1.0)


def frame_levels(audio: Tensor, frame: int, hop: int, floor: float) -> Tensor:
    """Log power, nats, of frames ``hop`` samples apart: ``audio [N, 1, S]`` to ``[N, 1, frames]``."""
    return torch.log(F.avg_pool1d(audio**2, frame, stride=hop) + floor)


def level_loss(made: Tensor, wanted: Tensor, frame: int = 1200, floor: float = 1e-5) -> Tensor:
    """L1 distance of log power over 25 ms frames: spectra of log magnitudes alone settle for too quiet.

    The L1 of log magnitudes is content with the median of a random phase's magnitude and spends itself on
    many quiet bins; this one sees only how loud it is.

    Parameters
    ----------
    made, wanted : Tensor, shape (N, 1, S)
        Audio.
    frame : int
        Samples averaged over; a quarter of it is the hop.
    floor : float
        Power that counts as silence.
    """
    a, b = (frame_levels(x, frame, frame // 4, floor) for x in (made, wanted))
    return (a - b).abs().mean()


def loudest_loss(made: Tensor, wanted: Tensor, frame: int = 1200, floor: float = 1e-6) -> Tensor:
    """L1 distance, in nats, of the log power of the loudest 25 ms: how hard a hit is as a whole.

    What :func:`train.attributes.sound.loudness` measures. A level by frames counts a long tail more than the
    stroke; this one pulls the whole hit up or down, and L1 leaves no bias in its median.

    Parameters
    ----------
    made, wanted : Tensor, shape (N, 1, S)
        Audio.
    frame : int
        Samples averaged over; a tenth of it is the hop.
    floor : float
        Power that counts as silence.
    """
    a, b = (frame_levels(x, frame, frame // 10, floor).amax(-1) for x in (made, wanted))
    return (a - b).abs().mean()


class BalanceLoss(nn.Module):
    """L1 distance, in nats, of a sound's energies in bands of a third of an octave, rumble included.

    A spectrogram has a thousand bins for hiss and three below 80 Hz; here every third counts alike.

    Parameters
    ----------
    samples : int
        Length of the sounds.
    lowest_hz, highest_hz : float
        Middles of the first and the last band; the first takes everything below it too.
    floor : float
        Energy, as a part of the sound's whole, that counts as nothing.
    rumble : float
        How many times the others a band below ``RUMBLE_HZ`` counts.
    """

    RUMBLE_HZ = 90.0

    def __init__(
        self,
        samples: int,
        lowest_hz: float = 50.0,
        highest_hz: float = 16_000.0,
        floor: float = 3e-5,
        rumble: float = 1.0,
    ):
        super().__init__()
        self.floor = floor
        count = round(3 * math.log2(highest_hz / lowest_hz))
        edges = lowest_hz * 2 ** ((torch.arange(count) + 0.5) / 3)
        bands = torch.bucketize(torch.arange(samples // 2 + 1) * (SAMPLE_RATE_HZ / samples), edges)
        self.register_buffer("bands", bands, persistent=False)
        self.bands: Tensor
        self.count = count + 1
        counts = 1 + (rumble - 1) * (lowest_hz * 2 ** (torch.arange(count + 1) / 3) < self.RUMBLE_HZ)
        self.register_buffer("counts", counts / counts.sum(), persistent=False)
        self.counts: Tensor

    def energies(self, audio: Tensor) -> Tensor:
        """Energy of every band, ``[N, bands]``."""
        bins = torch.view_as_real(torch.fft.rfft(audio[:, 0])).square().sum(-1)
        return bins.new_zeros(len(bins), self.count).index_add_(1, self.bands, bins)

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Compare ``[N, 1, S]`` with ``[N, 1, S]``."""
        a, b = self.energies(made), self.energies(wanted)
        quiet = self.floor * b.sum(1, keepdim=True) + 1e-3
        return ((torch.log(a + quiet) - torch.log(b + quiet)).abs() @ self.counts).mean()


class PartialsLoss(nn.Module):
    """L1 distance, in nats, of how far partials stand out of noise, by sixths of an octave.

    A partial a little beside the true one costs a spectrogram twice, so a model that can't know its place
    learns to leave it out, and a cymbal becomes hiss. Here is compared how uneven a band's bins are (the log
    of their mean power less the mean of the logs: 0.58 for noise), wherever its partials stand.

    Parameters
    ----------
    samples : int
        Length of the sounds.
    lowest_hz, highest_hz : float
        Where the bands begin and end.
    floor : float
        Power of a bin, as a part of the wanted sound's mean bin, that counts as nothing.
    """

    AFTER_S = 0.02  # the stroke's spectrum is broad whatever follows

    def __init__(
        self, samples: int, lowest_hz: float = 1500.0, highest_hz: float = 16_000.0, floor: float = 1e-5
    ):
        super().__init__()
        self.floor = floor
        self.first = round(self.AFTER_S * SAMPLE_RATE_HZ)
        self.size = 1 << int(math.log2(max(samples - self.first, 2)))
        count = round(6 * math.log2(highest_hz / lowest_hz))
        edges = lowest_hz * 2 ** (torch.arange(count + 1) / 6)
        bands = torch.bucketize(torch.arange(self.size // 2 + 1) * (SAMPLE_RATE_HZ / self.size), edges)
        within = (bands > 0) & (bands <= count)
        mean = torch.nn.functional.one_hot((bands - 1).clamp(0, count - 1), count) * within[:, None]
        self.register_buffer("mean", mean / mean.sum(0).clamp(min=1), persistent=False)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.mean: Tensor
        self.window: Tensor

    def powers(self, audio: Tensor) -> Tensor:
        """Power of every bin, ``[N, bins]``."""
        part = audio[:, 0, self.first : self.first + self.size] * self.window
        return torch.view_as_real(torch.fft.rfft(part)).square().sum(-1)

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Compare ``[N, 1, S]`` with ``[N, 1, S]``."""
        a, b = self.powers(made), self.powers(wanted)
        quiet = self.floor * b.mean(1, keepdim=True) + 1e-4
        uneven = [torch.log(p @ self.mean + quiet) - torch.log(p + quiet) @ self.mean for p in (a, b)]
        return (uneven[0] - uneven[1]).abs().mean()


def hinge_critic_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Hinge loss of the critic (Lim and Ye 2017), averaged over its scales."""
    terms = [F.relu(1.0 - r).mean() + F.relu(1.0 + f).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def hinge_generator_loss(fake: list[Tensor]) -> Tensor:
    """The generator's side of the hinge loss."""
    return torch.stack([-f.mean() for f in fake]).mean()


def feature_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Distance of the critic's features (Kumar et al. 2019), each over the real one's mean magnitude."""
    terms = [
        (r.detach() - f).abs().mean() / r.detach().abs().mean().clamp(min=1e-5)
        for scale_r, scale_f in zip(real, fake, strict=True)
        for r, f in zip(scale_r, scale_f, strict=True)
    ]
    return torch.stack(terms).mean()
