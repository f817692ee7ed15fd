"""Stage 3: interpolation U-Net, three frames between two neighbours, on pooled films."""

import random

import torch

from .diffusion import ALPHAS_CUMPROD, draw_times, noised, sample, velocity_weights
from .keyframes import NullEmbedding
from .networks.unet import UNet
from .pool import Pool, draw_scenes, encode_clips, load_movq
from .trainer import Stage
from .world.clips import KEYFRAME_STRIDE

# The skip value of the first pass (frames of a clip) and of the second (frames between those frames).
SKIPS = {"films": 3, "slow_films": 1}
MOST_PERTURBATION = 250
PROBE_FILMS = 4


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

    middle = sample(velocity, noise, steps)
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
        self.pools = {name: Pool(self.run_folder, name, self.settings[name]["shards"]) for name in SKIPS}
        movq = load_movq(self.settings, self.run_folder)
        drawn = draw_scenes(self.settings, PROBE_FILMS, "probe films", unseen=True)
        self.probe_films = encode_clips(movq, drawn, self.settings["films"], self.settings)[1].float().to(self.device)

    def draw(self, count, generator):
        """Films (count, 57, c, h, w), every second one backwards, and their skip values."""
        source = random.Random(int(torch.randint(1 << 60, (1,), generator=generator)))
        films, skips = [], []
        for _ in range(count):
            name = "films" if source.random() < 0.7 else "slow_films"
            _, (latents,) = self.pools[name][source.randrange(len(self.pools[name]))]
            films.append(latents.flip(0) if source.random() < 0.5 else latents)
            skips.append(SKIPS[name])
        return torch.stack(films).to(self.device), torch.tensor(skips, device=self.device)

    def loss(self, generator, progress):
        options = self.settings["interpolation"]
        films, skips = self.draw(options["batch"], generator)
        left, middle, right = temporal_groups(films)
        groups = len(left) // len(films)

        def per_video(values):
            return values.repeat_interleave(groups)

        level = torch.randint(1, MOST_PERTURBATION + 1, (len(films),), generator=generator)
        level = per_video(level * (torch.rand(len(films), generator=generator) < 0.3))
        kept = ALPHAS_CUMPROD[level].masked_fill(level == 0, 1.0).to(self.device)[:, None, None, None]
        left, right = (kept.sqrt() * key + (1 - kept).sqrt() * torch.randn_like(key) for key in (left, right))
        given = per_video(torch.rand(len(films), generator=generator) >= 0.1).to(self.device)[:, None, None, None]
        time = per_video(draw_times(len(films), options["high_noise_share"], generator))
        noisy, target = noised(middle, torch.randn_like(middle), time.to(self.device))
        output = predict(self.networks, noisy, left * given, right * given, time.to(self.device), per_video(skips), groups,
                         level.to(self.device))
        errors = (output - target).pow(2).flatten(1).mean(1)
        return (errors * velocity_weights(time, options["high_noise_weight"]).to(self.device)).mean(), {}

    @torch.no_grad()
    def probe(self, averaged):
        """Mean squared latent error between true keyframes of unseen films, ours and the linear blend's."""
        films = self.probe_films
        made = interpolate(averaged, films[:, ::KEYFRAME_STRIDE], 3, 6, 0.0, torch.Generator().manual_seed(3))
        left, truth, right = temporal_groups(films)
        return {"ours": (temporal_groups(made)[1] - truth).pow(2).mean().item(),
                "linear": (linear_blend(left, right) - truth).pow(2).mean().item()}
