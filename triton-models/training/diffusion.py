"""Noise schedule, velocity targets and the sampler of the serving side, for judging weights while they train."""

import functools
import math

import torch

STEPS = 1000
# Where the sampler starts and from where it goes to the data in one step.
LEAST_LOG_SNR, LAST_LOG_SNR = -5.1, 4.0


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


def draw_times(count, high_noise_share, generator, high_noise_from=600):
    """Uniform steps, except that a share of them is drawn from the upper ones, where layout and motion are decided."""
    uniform = torch.randint(0, STEPS, (count,), generator=generator)
    high = torch.randint(high_noise_from, STEPS, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < high_noise_share, high, uniform)


def velocity_weights(time, high_noise_weight):
    """Weight of the squared velocity error: x₀'s error counts at most fivefold at low noise, more at high noise."""
    alphas = ALPHAS_CUMPROD[time]
    return (5 * (1 - alphas)).clamp(max=1) * (1 + (high_noise_weight - 1) * (1 - alphas) ** 2)


def dynamic_threshold(x0, quantile=0.98):
    """Clips each item to its own quantile s ≥ 1 of |x₀| and divides by s."""
    limits = x0.abs().flatten(1).quantile(quantile, dim=1).clamp(min=1).view((-1,) + (1,) * (x0.dim() - 1))
    return torch.maximum(torch.minimum(x0, limits), -limits) / limits


def sampling_levels(steps):
    """[(training step, α, σ, λ)] even in λ = ln(α/σ), noisiest first, as the serving side's DPM-Solver++ takes them."""
    cumulative = ALPHAS_CUMPROD.double()
    known = (cumulative / (1 - cumulative)).log() / 2
    last_known = int((known >= LEAST_LOG_SNR).nonzero().max())
    first = known[last_known].item()
    levels = []
    for index in range(steps):
        log_snr = first + (LAST_LOG_SNR - first) * index / max(1, steps - 1)
        below = min(int((known[: last_known + 1] >= log_snr).nonzero().max()), last_known - 1)
        part = ((known[below] - log_snr) / (known[below] - known[below + 1])).item()
        ratio = math.exp(2 * log_snr)
        levels.append((below + part, math.sqrt(ratio / (1 + ratio)), math.sqrt(1 / (1 + ratio)), log_snr))
    return levels


def sample(predict_velocity, noise, steps):
    """DPM-Solver++(2M). predict_velocity(x, step) includes guidance; noise (items, …); returns x₀."""
    levels = sampling_levels(steps)
    x, previous = noise, None
    for index, (time, alpha, sigma, log_snr) in enumerate(levels):
        x0 = dynamic_threshold(alpha * x - sigma * predict_velocity(x, time))
        if index == steps - 1:
            return x0
        _, next_alpha, next_sigma, next_log_snr = levels[index + 1]
        ratio = next_sigma / sigma
        blend = x0
        if previous is not None:
            look_back = (next_log_snr - log_snr) / (log_snr - levels[index - 1][3]) / 2
            blend = (1 + look_back) * x0 - look_back * previous
        x = ratio * x + (next_alpha - ratio * alpha) * blend
        previous = x0
