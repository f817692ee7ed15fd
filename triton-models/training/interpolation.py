"""Stage 2: interpolation U-Net, three frames between two neighbours, on pooled films.

What it samples is the difference of the three frames from the linear blend of the two around them.
"""

import random

import torch

from .diffusion import ALPHAS_CUMPROD, draw_times, noised, sample
from .keyframes import NullEmbedding
from .networks.unet import UNet
from .pool import Pool, draw_scenes, encode_clips, load_movq
from .settings import SAMPLING
from .trainer import Stage
from .world.clips import KEYFRAME_STRIDE

# The skip value of the first pass (frames of a clip) and of the second (frames between those frames).
SKIPS = {"films": 3, "slow_films": 1}
MOST_PERTURBATION = 60
PROBE_FILMS = 4
SLOW_SHARE = 0.3
# What lies between is decided in the very first step.
HIGH_NOISE_FROM = 900
# Brings the small differences' loss near to one.
LOSS_SCALE = 50


def temporal_groups(film):
    """(videos, 57, c, h, w) -> left, middle (videos·14, 3, c, h, w) and right of every pair of keyframes."""
    keyframes = film[:, ::KEYFRAME_STRIDE]
    middle = torch.stack([film[:, offset:-1:KEYFRAME_STRIDE] for offset in (1, 2, 3)], dim=2)
    return keyframes[:, :-1].flatten(0, 1), middle.flatten(0, 1), keyframes[:, 1:].flatten(0, 1)


def linear_blend(left, right):
    """What the network has to beat: (groups, 3, c, h, w)."""
    return torch.stack([torch.lerp(left, right, share) for share in (0.25, 0.5, 0.75)], dim=1)


def predict(networks, noisy, left, right, time, skip, groups, perturbation=None):
    """noisy (videos·groups, 3, c, h, w), time and skip (videos·groups,) -> velocity of the same shape."""
    x = torch.cat([left, noisy.flatten(1, 2), right], dim=1).contiguous(memory_format=torch.channels_last)
    context, mask = networks["null"].context(len(x) // groups, 2)
    output = networks["unet"](x, time, context, mask, skip_frames=skip, num_temporal_groups=groups, perturbation=perturbation)
    return output.unflatten(1, noisy.shape[1:3])


@torch.no_grad()
def interpolate(networks, keyframes, skip, steps, guidance_scale, generator):
    """keyframes (videos, t, c, h, w) -> (videos, 4t − 3, c, h, w) with the keyframes in their places."""
    videos, count = keyframes.shape[:2]
    left, right = keyframes[:, :-1].flatten(0, 1), keyframes[:, 1:].flatten(0, 1)
    groups = count - 1
    noise = torch.randn(len(left), 3, *left.shape[1:], generator=generator).to(left.device)
    skips = torch.full((len(left),), skip, device=left.device)

    def velocity(x, step):
        time = torch.full((len(x),), step, device=x.device)
        conditional = predict(networks, x, left, right, time, skips, groups)
        if guidance_scale == 0:
            return conditional
        zeros = torch.zeros_like(left)
        unconditional = predict(networks, x, zeros, zeros, time, skips, groups)
        return (guidance_scale + 1) * conditional - guidance_scale * unconditional

    middle = sample(velocity, noise, steps) + linear_blend(left, right)
    joined = torch.cat([left[:, None], middle], dim=1).unflatten(0, (videos, groups)).flatten(1, 2)
    return torch.cat([joined, keyframes[:, -1:]], dim=1)


class InterpolationStage(Stage):
    name = "interpolation"
    weight_decay = 0.01

    def build(self):
        options, shape = self.settings["interpolation"], self.settings["architecture"]["interpolation"]
        self.learning_rate, self.ema_decay = options["learning_rate"], options["ema_decay"]
        return torch.nn.ModuleDict({"unet": UNet(**shape), "null": NullEmbedding(shape["context_dim"])}).to(self.device)

    def prepare(self):
        self.pools = {name: Pool(self.run_folder, name, self.settings[name]["shards"], self.device) for name in SKIPS}
        movq = load_movq(self.settings, self.run_folder)
        drawn = draw_scenes(self.settings, PROBE_FILMS, "probe films", unseen=True)
        self.probe_films = encode_clips(movq, drawn, self.settings["films"], self.settings)[1].float().to(self.device)

    def films(self, count, source):
        """Films (count, 57, c, h, w), about half of them backwards, and their skip values. Always the same share is slow."""
        slow = round(count * SLOW_SHARE) if count > 2 else source.random() < SLOW_SHARE
        films = [
            pool.clips([source.randrange(len(pool.scenes)) for _ in range(number)], [source.random() < 0.5 for _ in range(number)])
            for pool, number in zip(self.pools.values(), (count - slow, slow)) if number
        ]
        return torch.cat(films), torch.tensor([SKIPS["films"]] * (count - slow) + [SKIPS["slow_films"]] * slow)

    def draw(self, generator, progress):
        options = self.settings["interpolation"]
        source = random.Random(int(torch.randint(1 << 60, (1,), generator=generator)))
        films, skips = self.films(options["batch"], source)
        level = torch.randint(1, MOST_PERTURBATION + 1, (len(films),), generator=generator)
        level = level * (torch.rand(len(films), generator=generator) < 0.15)
        time = draw_times(len(films), options["high_noise_share"], generator, HIGH_NOISE_FROM)
        batch = {
            "skips": skips, "level": level, "kept": ALPHAS_CUMPROD[level].masked_fill(level == 0, 1.0), "time": time,
            "given": torch.rand(len(films), generator=generator) >= 0.1,
            # So much of v's error counts that what is left is the difference's own.
            "weights": 1 - ALPHAS_CUMPROD[time],
        }
        return "films", {"films": films, **{name: tensor.to(self.device) for name, tensor in batch.items()}}

    def loss(self, phase, batch):
        left, middle, right = temporal_groups(batch["films"])
        groups = len(left) // len(batch["films"])
        skips, level, kept, time, given, weights = (
            batch[name].repeat_interleave(groups) for name in ("skips", "level", "kept", "time", "given", "weights"))
        kept, given = kept[:, None, None, None], given[:, None, None, None]
        left, right = (kept.sqrt() * key + (1 - kept).sqrt() * torch.randn_like(key) for key in (left, right))
        difference = middle - linear_blend(left, right)
        noisy, target = noised(difference, torch.randn_like(middle), time)
        output = predict(self.networks, noisy, left * given, right * given, time, skips, groups, level)
        errors = (output.float() - target).pow(2).flatten(1).mean(1)
        return LOSS_SCALE * (errors * weights).mean(), {"blend": difference.pow(2).mean().detach()}

    @torch.no_grad()
    def probe(self, averaged):
        """Mean squared latent error between true keyframes of unseen films, ours and the linear blend's."""
        films = self.probe_films
        made = interpolate(averaged, films[:, ::KEYFRAME_STRIDE], SKIPS["films"], SAMPLING["interpolation"]["steps"], 0.0,
                           torch.Generator().manual_seed(3))
        left, truth, right = temporal_groups(films)
        return {"ours": (temporal_groups(made)[1] - truth).pow(2).mean().item(),
                "linear": (linear_blend(left, right) - truth).pow(2).mean().item()}
