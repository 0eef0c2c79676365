"""The loss: closed forms of its weights and targets, and the end of the noise process."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler
from small_models import mini_config

from fypv2.model.build import build_scheduler
from fypv2.training.objective import Objective


def scheduler(prediction: str = "v_prediction", zero: bool = False) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        rescale_betas_zero_snr=zero,
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_weights_are_their_closed_forms(prediction: str) -> None:
    objective = Objective.of(scheduler(prediction), 5.0)
    # The schedule by hand: betas linear in their roots, alpha-bar the product of 1 - beta.
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    bar = torch.cumprod(1 - betas, 0)
    snr = bar / (1 - bar)
    if prediction == "epsilon":
        expected = torch.minimum(snr, torch.tensor(5.0)) / snr
    else:
        expected = torch.minimum(snr + 1, torch.tensor(5.0)) / (snr + 1)
    assert torch.allclose(objective.weights(torch.arange(1000)), expected, rtol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_weighted_error_is_one_of_the_picture_times_at_most_gamma(prediction: str) -> None:
    objective = Objective.of(scheduler(prediction), 5.0)
    random = torch.Generator().manual_seed(0)
    picture, noise = (torch.randn(40, 3, generator=random, dtype=torch.float64) for _ in range(2))
    wrong = picture + 0.01
    times = torch.linspace(0, 999, 40).long()
    noisy = objective.noised(picture, noise, times)
    a, s = objective.signal[times][:, None], objective.noise[times][:, None]
    # What a network that takes the picture for `wrong` would answer.
    implied = (noisy - a * wrong) / s
    answer = implied if prediction == "epsilon" else a * implied - s * wrong
    error = ((answer - objective.target(picture, noise, times)) ** 2).mean(1) * objective.weights(times)
    counts = error / 0.01**2
    assert float(counts.max()) <= 5 * 1.001
    assert float(counts.max()) == pytest.approx(5, rel=1e-3)


def test_without_gamma_all_timesteps_count_alike() -> None:
    assert torch.equal(Objective.of(scheduler()).weights(torch.arange(1000)), torch.ones(1000, dtype=torch.float64))


def test_the_last_step_is_pure_noise_exactly_and_is_learnt() -> None:
    objective = Objective.of(build_scheduler(mini_config()), 5.0)
    latents, noise = torch.randn(2, 4, 1, 8, 8), torch.randn(2, 4, 1, 8, 8)
    last = torch.tensor([999, 999])
    assert torch.equal(objective.noised(latents, noise, last), noise)
    assert torch.equal(objective.target(latents, noise, last), -latents)
    assert objective.weights(last).tolist() == [1, 1]


def test_noise_cannot_be_the_target_of_pure_noise() -> None:
    with pytest.raises(ValueError, match="v_prediction"):
        Objective.of(scheduler("epsilon", zero=True))


def test_noising_is_the_schedulers_own() -> None:
    ours, theirs = Objective.of(scheduler()), scheduler()
    latents, noise, times = torch.randn(5, 4, 3, 8, 8), torch.randn(5, 4, 3, 8, 8), torch.tensor([0, 3, 500, 800, 999])
    assert torch.allclose(ours.noised(latents, noise, times), theirs.add_noise(latents, noise, times), atol=1e-6)
    assert torch.allclose(ours.target(latents, noise, times), theirs.get_velocity(latents, noise, times), atol=1e-6)
