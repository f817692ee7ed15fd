"""Stage 2: interpolation U-Net, three frames between two neighbours, on pooled films.

What it predicts is x₀ itself, the difference of the three frames from the linear blend of the two around them, and it does
not look at the noise: the two tell all there is to tell in this world. So one step of sampling gives what many would.
"""

import random

import torch

from .diffusion import ALPHAS_CUMPROD, FIRST_STEP, STEPS
from .keyframes import NullEmbedding
from .networks.unet import UNet
from .pool import Pool, draw_scenes, encode_clips, load_movq
from .trainer import Stage
from .world.clips import KEYFRAME_STRIDE

# The skip value of the first pass (frames of a clip) and of the second (frames between those frames).
SKIPS = {"films": 3, "slow_films": 1}
SLOW_SHARE = 0.15
# Share of films in which things only stand still, grow or shrink, from which there is little to learn.
IN_PLACE, IN_PLACE_SHARE = ("still", "growing", "shrinking"), 0.2
MOST_PERTURBATION, PERTURBED_SHARE = 60, 0.12
UNCONDITIONAL_SHARE, UNCONDITIONAL_WEIGHT = 0.1, 0.1
# Mostly the sampler's first step; some others, so that additional steps do no harm.
FIRST_STEP_SHARE = 0.75
# A film's error is divided by the blend's, so that slow motion counts as much as fast; this much is the autoencoder's
# own error.
LEAST_ERROR = 2e-4
PROBE_FILMS = 16


def temporal_groups(film):
    """(videos, 57, c, h, w) -> left, middle (videos·14, 3, c, h, w) and right of every pair of keyframes."""
    keyframes = film[:, ::KEYFRAME_STRIDE]
    middle = torch.stack([film[:, offset:-1:KEYFRAME_STRIDE] for offset in (1, 2, 3)], dim=2)
    return keyframes[:, :-1].flatten(0, 1), middle.flatten(0, 1), keyframes[:, 1:].flatten(0, 1)


def linear_blend(left, right):
    """The baseline for the network: (groups, 3, c, h, w)."""
    return torch.stack([torch.lerp(left, right, share) for share in (0.25, 0.5, 0.75)], dim=1)


def predict(networks, left, right, time, skip, groups, perturbation=None):
    """left and right (videos·groups, c, h, w), time and skip (videos·groups,) -> difference of the three frames between them
    from their blend: (videos·groups, 3, c, h, w)."""
    unread = torch.zeros_like(left).repeat(1, 3, 1, 1)
    x = torch.cat([left, unread, right], dim=1).contiguous(memory_format=torch.channels_last)
    context, mask = networks["null"].context(len(x) // groups, 2)
    output = networks["unet"](x, time, context, mask, skip_frames=skip, num_temporal_groups=groups, perturbation=perturbation)
    return output.unflatten(1, (3, left.shape[1]))


@torch.no_grad()
def interpolate(networks, keyframes, skip, predict=predict):
    """keyframes (videos, t, c, h, w) -> (videos, 4t − 3, c, h, w) with the keyframes in their places."""
    videos, count = keyframes.shape[:2]
    left, right = keyframes[:, :-1].flatten(0, 1), keyframes[:, 1:].flatten(0, 1)
    groups = count - 1
    times, skips = (torch.full((len(left),), value, device=left.device) for value in (FIRST_STEP, skip))
    middle = linear_blend(left, right) + predict(networks, left, right, times, skips, groups)
    joined = torch.cat([left[:, None], middle], dim=1).unflatten(0, (videos, groups)).flatten(1, 2)
    return torch.cat([joined, keyframes[:, -1:]], dim=1)


class InterpolationStage(Stage):
    name = "interpolation"
    weight_decay = 0.01
    predict = staticmethod(predict)

    def build(self):
        options, shape = self.settings["interpolation"], self.settings["architecture"]["interpolation"]
        self.learning_rate, self.ema_decay = options["learning_rate"], options["ema_decay"]
        unet = UNet(**shape)
        with torch.no_grad():
            # Weights that read the noisy frames get no gradient either (`predict`). Initially the output is the blend.
            channels = shape["out_channels"] // 3
            unet.in_layer.weight[:, channels:-channels] = 0
            unet.out_layer[2].weight.zero_()
            unet.out_layer[2].bias.zero_()
        return torch.nn.ModuleDict({"unet": unet, "null": NullEmbedding(shape["context_dim"])}).to(self.device)

    def matrices(self):
        others = ("in_layer", "out_layer", "embed")
        return [parameter for name, parameter in self.networks["unet"].named_parameters()
                if parameter.dim() > 1 and not any(word in name for word in others)]

    def prepare(self):
        self.pools = {name: Pool(self.run_folder, name, self.settings[name]["shards"], self.device) for name in SKIPS}
        self.in_place = {
            name: [all(thing.motion in IN_PLACE for thing in scene.things) for scene in pool.scenes]
            for name, pool in self.pools.items()
        }
        movq = load_movq(self.settings, self.run_folder)
        drawn = draw_scenes(self.settings, PROBE_FILMS, "probe films", unseen=True)
        self.probe_films = encode_clips(movq, drawn, self.settings["films"], self.settings)[1].float().to(self.device)

    def draw_film(self, name, source):
        while True:
            number = source.randrange(len(self.in_place[name]))
            if not self.in_place[name][number] or source.random() < IN_PLACE_SHARE:
                return number

    def draw(self, generator, progress):
        count = self.settings["interpolation"]["batch"]
        source = random.Random(int(torch.randint(1 << 60, (1,), generator=generator)))
        names = source.choices(list(SKIPS), (1 - SLOW_SHARE, SLOW_SHARE), k=count)
        films = [self.pools[name].clips([self.draw_film(name, source)], [source.random() < 0.5]) for name in names]

        def happens(share):
            return torch.rand(count, generator=generator) < share

        level = torch.randint(1, MOST_PERTURBATION + 1, (count,), generator=generator) * happens(PERTURBED_SHARE)
        any_step = torch.randint(0, STEPS, (count,), generator=generator)
        batch = {
            "skips": torch.tensor([SKIPS[name] for name in names]), "level": level,
            "kept": ALPHAS_CUMPROD[level].masked_fill(level == 0, 1.0),
            "time": any_step.masked_fill(happens(FIRST_STEP_SHARE), FIRST_STEP), "given": ~happens(UNCONDITIONAL_SHARE),
        }
        return "films", {"films": torch.cat(films), **{name: tensor.to(self.device) for name, tensor in batch.items()}}

    def loss(self, phase, batch):
        left, middle, right = temporal_groups(batch["films"])
        groups = len(left) // len(batch["films"])
        skips, level, kept, time, given = (
            batch[name].repeat_interleave(groups) for name in ("skips", "level", "kept", "time", "given"))
        kept = kept[:, None, None, None]
        left, right = (kept.sqrt() * key + (1 - kept).sqrt() * torch.randn_like(key) for key in (left, right))
        difference = middle - linear_blend(left, right)
        seen = given[:, None, None, None]
        output = self.predict(self.networks, left * seen, right * seen, time, skips, groups, level)

        def of_films(squared):
            return squared.unflatten(0, (-1, groups)).flatten(1).mean(1)

        ours, blends = of_films((output.float() - difference).pow(2)), of_films(difference.pow(2))
        weights = torch.where(batch["given"], 1.0, UNCONDITIONAL_WEIGHT) / (blends + LEAST_ERROR)
        return (ours * weights).mean(), {"ours": ours.mean().detach(), "blend": blends.mean().detach()}

    @torch.no_grad()
    def probe(self, averaged):
        """Mean squared latent error between true keyframes of unseen films, ours and the linear blend's, and by how many
        decibels ours is smaller, averaged over films."""
        films = self.probe_films
        made = interpolate(averaged, films[:, ::KEYFRAME_STRIDE], SKIPS["films"], self.predict)
        left, truth, right = temporal_groups(films)
        ours, linear = (
            (between - truth).pow(2).unflatten(0, (len(films), -1)).flatten(1).mean(1)
            for between in (temporal_groups(made)[1], linear_blend(left, right)))
        gain = 10 * torch.log10((linear + LEAST_ERROR) / (ours + LEAST_ERROR))
        return {"ours": ours.mean().item(), "linear": linear.mean().item(), "gain": gain.mean().item()}
