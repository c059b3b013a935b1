"""Losses have the values that their formulas give."""

import math

import numpy as np
import pytest
import torch

from train.attributes.sound import loudness
from train.latents.centre import ClassCentres
from train.latents.motion import moving_latents
from train.losses import (
    BalanceLoss,
    PartialsLoss,
    SpectralLoss,
    feature_loss,
    hinge_critic_loss,
    hinge_generator_loss,
    kl_loss,
    kl_per_latent,
    level_loss,
    loudest_loss,
    ramp,
    transient_loss,
)
from train.models.fader import LatentAdversary
from train.models.hit.critic import HitCritic

pytestmark = pytest.mark.fast


def test_kl_of_the_prior_is_zero_and_of_a_shift_is_half_its_square():
    zero = torch.zeros(5, 3)
    assert kl_per_latent(zero, zero).tolist() == [0, 0, 0]
    assert kl_per_latent(zero + 2.0, zero).tolist() == pytest.approx([2, 2, 2])
    s2 = 0.25
    want = 0.5 * (s2 - 1 - math.log(s2))
    assert kl_per_latent(zero, zero + math.log(s2)).tolist() == pytest.approx([want] * 3)


def test_free_bits_are_free_for_each_latent():
    mean = torch.tensor([[2.0, 0.1]])
    assert float(kl_loss(mean, torch.zeros(1, 2), 0.5)) == pytest.approx(1.5)


def test_the_ramp_rises_once():
    assert [ramp(p, 0.5) for p in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.5, 1.0, 1.0]
    assert ramp(0.0, 0.0) == 1.0


def test_half_the_amplitude_is_a_level_of_two_log_two():
    x = torch.randn(2, 1, 12_000, generator=torch.Generator().manual_seed(0))
    assert float(level_loss(x, x)) == 0
    assert float(level_loss(x * 0.5, x)) == pytest.approx(2 * math.log(2), rel=1e-3)


def test_the_loudest_level_is_what_the_analyser_measures():
    generator = torch.Generator().manual_seed(1)
    hit = torch.randn(1, 1, 12_000, generator=generator) * torch.exp(-torch.arange(12_000) / 3000)
    quieter = hit.clone()
    quieter[..., 6000:] = 0.0  # the tail does not count
    assert float(loudest_loss(quieter, hit)) == 0
    other = hit * 0.3 + 0.1
    decibels = loudness(other[0, 0].numpy()) - loudness(hit[0, 0].numpy())
    assert float(loudest_loss(other, hit)) * 10 / math.log(10) == pytest.approx(abs(decibels), abs=0.2)


@pytest.mark.parametrize(
    "loss", [SpectralLoss((1024, 256)), SpectralLoss((1024, 256), convergence=0.5), BalanceLoss(9600)]
)
def test_audio_losses_are_zero_on_the_same_and_finite_on_silence(loss):
    x = torch.randn(2, 1, 9600, generator=torch.Generator().manual_seed(0)) * 0.3
    silence = torch.zeros_like(x).requires_grad_()
    assert float(loss(x, x)) == pytest.approx(0, abs=1e-6)
    far = loss(silence, x)
    far.backward()
    assert float(far) > float(loss(x * 0.5, x)) > 0
    assert torch.isfinite(silence.grad).all()


def test_partials_count_wherever_they_stand():
    t = torch.arange(11_520) / 48_000
    generator = torch.Generator().manual_seed(0)
    hiss, other = 0.1 * torch.randn(2, 1, 1, len(t), generator=generator)
    places = 1600 * 1.13 ** torch.arange(18)

    def bell(moved):
        return sum(torch.sin(2 * torch.pi * hz * t) for hz in places * moved)[None, None]

    far = PartialsLoss(len(t))
    bells, beside = hiss + 0.1 * bell(1.0), other + 0.1 * bell(1.01)
    assert float(far(bells, bells)) == 0
    assert float(far(other, hiss)) < 0.35
    assert float(far(beside, bells)) < 0.5 < 3 * float(far(beside, bells)) < float(far(other, bells))
    assert float(far(torch.zeros_like(hiss), torch.zeros_like(hiss))) == 0
    quiet = bells.clone().requires_grad_()
    far(quiet * 1e-4, hiss).backward()
    assert torch.isfinite(quiet.grad).all()


def test_mel_bands_hear_a_level_that_bins_of_noise_do_not_tell():
    rng = torch.Generator().manual_seed(0)
    a, b = 0.1 * torch.randn(2, 8, 1, 16_384, generator=rng)
    with_mel, without = SpectralLoss((2048, 512), mel=1.0), SpectralLoss((2048, 512))
    levels = [0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
    terms = [float(with_mel(level * a, b) - without(level * a, b)) for level in levels]
    assert levels[int(np.argmin(terms))] == pytest.approx(1.0, abs=0.11)
    assert float(with_mel(b, b)) == pytest.approx(float(without(b, b)), abs=1e-6)


def test_the_spectral_loss_is_auralosss():
    from auraloss.freq import MultiResolutionSTFTLoss

    torch.manual_seed(0)
    a, b = torch.randn(2, 1, 9600) * 0.3, torch.randn(2, 1, 9600) * 0.01
    sizes = [1024, 256]
    theirs = MultiResolutionSTFTLoss(
        sizes, [n // 4 for n in sizes], sizes, w_sc=0.0, w_log_mag=1.0, w_lin_mag=0.5, eps=1e-6
    )
    assert float(SpectralLoss(tuple(sizes))(a, b)) == pytest.approx(float(theirs(a, b)), rel=1e-5)


def test_convergence_is_a_ratio_that_a_quiet_item_cannot_blow_up():
    torch.manual_seed(0)
    wanted, made = torch.randn(2, 1, 9600) * 0.3, torch.randn(2, 1, 9600) * 0.3
    plain, both = SpectralLoss((512,)), SpectralLoss((512,), convergence=1.0)
    gap = float(both(made, wanted) - plain(made, wanted))
    assert gap == pytest.approx(float(both(made * 10, wanted * 10) - plain(made * 10, wanted * 10)), rel=1e-2)
    wanted[1] *= 1e-5
    assert float(both(made, wanted) - plain(made, wanted)) < 8


def test_the_attack_is_all_that_the_transient_loss_sees():
    wanted, window = torch.zeros(1, 1, 10), torch.zeros(1, 1, 10)
    window[..., :4] = 1.0
    made = wanted.clone()
    made[..., 0] = 1.0
    made[..., 8] = 100.0
    assert float(transient_loss(made, wanted, window)) == 0.25


def test_the_hinge_is_satisfied_beyond_one():
    assert float(hinge_critic_loss([torch.tensor([2.0])], [torch.tensor([-2.0])])) == 0
    assert float(hinge_critic_loss([torch.tensor([0.0])], [torch.tensor([0.0])])) == 2
    assert float(hinge_generator_loss([torch.tensor([3.0])])) == -3
    assert float(feature_loss([[torch.ones(4)]], [[torch.ones(4) * 1.5]])) == pytest.approx(0.5)


def test_a_blind_adversary_pays_the_logarithm_of_its_bins():
    adversary = LatentAdversary(4, 2, 8, 16)
    for p in adversary.parameters():
        torch.nn.init.zeros_(p)
    knobs = torch.rand(32, 2) * 2 - 1
    assert float(adversary.loss(torch.randn(32, 4), knobs)) == pytest.approx(math.log(8))


def test_moving_latents_keep_the_posteriors_spread_at_every_frame():
    torch.manual_seed(0)
    mean, deviation = torch.full((4000, 1), 2.0), torch.full((4000, 1), 0.5)
    z = moving_latents(mean, deviation, 50, 1.0)
    assert z.shape == (4000, 1, 50)
    for frame in (0, 20, 49):
        assert float(z[:, 0, frame].mean()) == pytest.approx(2.0, abs=0.04)
        assert float(z[:, 0, frame].std()) == pytest.approx(0.5, abs=0.03)
    still = moving_latents(mean, deviation, 50, 0.0)
    assert torch.equal(still[..., 0], still[..., 49])
    assert not torch.equal(z[..., 0], z[..., 49])


def test_a_rumble_is_a_band_like_any_other():
    t = torch.arange(12_000) / 48_000
    hiss = 0.3 * torch.randn(1, 1, 12_000, generator=torch.Generator().manual_seed(0))
    low = hiss - torch.fft.irfft(torch.fft.rfft(hiss) * (torch.fft.rfftfreq(12_000, 1 / 48_000) < 200))
    far = BalanceLoss(12_000)
    assert float(far(low, low)) == 0
    rumble = low + 0.1 * torch.sin(2 * torch.pi * 40 * t)
    count = far.energies(low).shape[1]
    # of all bands only the lowest differs, and there by so many nats: its energy over the floor's
    energy, whole = far.energies(rumble)[0, 0], far.energies(low).sum()
    wanted = torch.log((energy + far.floor * whole) / (far.floor * whole)) / count
    assert float(far(rumble, low)) == pytest.approx(float(wanted), rel=0.1)
    louder = BalanceLoss(12_000, rumble=4.0)  # three bands of so many count four times
    assert float(louder(rumble, low)) == pytest.approx(float(wanted) * 4 * count / (count + 9), rel=0.1)
    assert float(far.energies(low).sum()) == pytest.approx(
        float(torch.fft.rfft(low[0, 0]).abs().square().sum()), rel=1e-4
    )


def test_classes_are_pulled_to_one_middle_and_one_width():
    torch.manual_seed(0)
    centres = ClassCentres(2, 3)
    places = torch.nn.Parameter(torch.randn(400, 3) * torch.tensor([3.0, 1.0, 0.2]))
    labels = (torch.arange(400) % 2 == 0).long()
    with torch.no_grad():
        places[labels == 1] += 2.0
    descent = torch.optim.SGD([places], 2.0)
    for _ in range(900):
        rows = torch.randint(0, 400, (32,))
        loss = centres(
            places[rows], torch.full((32, 3), -20.0), labels[rows], torch.ones(32, dtype=torch.bool)
        )
        descent.zero_grad()
        loss.backward()
        descent.step()
    for label in (0, 1):
        of_class = places[labels == label].detach()
        assert of_class.mean(0).abs().max() < 0.3
        assert of_class.square().mean(0).tolist() == pytest.approx([1, 1, 1], abs=0.35)


def test_who_does_not_count_is_neither_pulled_nor_remembered():
    centres = ClassCentres(2, 3)
    mean = torch.full((4, 3), 5.0, requires_grad=True)
    loss = centres(
        mean, torch.zeros(4, 3), torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.bool)
    )
    loss.backward()
    assert not mean.grad.any() and not centres.means.any()


def test_the_critic_learns_which_class_a_sound_should_be_of():
    torch.manual_seed(0)
    t = torch.arange(9600) / 48_000
    low, high = (torch.sin(2 * torch.pi * f * t) * torch.exp(-20 * t) for f in (60.0, 3000.0))
    real = torch.stack([low, high] * 4)[:, None] + 0.01 * torch.randn(8, 1, 9600)
    labels = torch.tensor([0, 1] * 4)
    critic = HitCritic(4, 2)
    descent = torch.optim.Adam(critic.parameters(), 3e-3)
    for _ in range(60):  # the made ones are true sounds under the wrong name
        loss = critic.judge(real, real, 1 - labels, labels)
        descent.zero_grad()
        loss.backward()
        descent.step()
    rightly, wrongly = (
        torch.stack([s.mean() for s in critic(real, named)[0]]).mean() for named in (labels, 1 - labels)
    )
    assert float(rightly) > float(wrongly) + 0.5
