"""Noise schedule and velocity targets."""

import functools
import math

import torch

STEPS = 1000
# Where the serving side's DPM-Solver++ starts.
FIRST_STEP = 995
# Above it layout and motion are decided.
HIGH_NOISE_FROM = 600


def cosine_alphas_cumprod():
    """(1000,) ᾱ of the published cosine schedule."""
    def level(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - level((i + 1) / STEPS) / level(i / STEPS), 0.999) for i in range(STEPS)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), dim=0).float()


ALPHAS_CUMPROD = cosine_alphas_cumprod()


@functools.lru_cache(maxsize=None)
def alphas_cumprod_on(device):
    return ALPHAS_CUMPROD.to(device)


def noised(x0, noise, time):
    """x_t and the velocity; time (items,) integer steps of the schedule, x0 (items, …)."""
    shape = (-1,) + (1,) * (x0.dim() - 1)
    kept = alphas_cumprod_on(x0.device)[time].view(shape)
    alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
    return alpha * x0 + sigma * noise, alpha * noise - sigma * x0


def velocity_towards(x0, x, time):
    """The velocity that leads from x_t to x₀, even if x_t is a noisy mixture."""
    kept = alphas_cumprod_on(x0.device)[time].view((-1,) + (1,) * (x0.dim() - 1))
    return (kept.sqrt() * x - x0) / (1 - kept).sqrt()


def draw_times(count, high_noise_share, generator):
    """Uniform steps, except that a share of them is drawn from the upper ones."""
    uniform = torch.randint(0, STEPS, (count,), generator=generator)
    high = torch.randint(HIGH_NOISE_FROM, STEPS, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < high_noise_share, high, uniform)


def velocity_weights(time, high_noise_weight):
    """Weight of the squared velocity error: x₀'s error counts at most fivefold at low noise, more at high noise."""
    alphas = ALPHAS_CUMPROD[time]
    return (5 * (1 - alphas)).clamp(max=1) * (1 + (high_noise_weight - 1) * (1 - alphas) ** 2)
