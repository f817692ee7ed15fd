"""Perturbation against the build-up of errors: nano's interpolation in two passes, from true keyframes and from sampled ones."""

import random
import statistics

import torch

from . import tokenizer
from .autoencoder import decibels
from .diffusion import ALPHAS_CUMPROD, noised
from .evaluate import load_weights
from .interpolation import SKIPS, interpolate, linear_blend, predict
from .keyframes import KeyframeStage
from .pool import draw_scenes, without_looks
from .refine import load_networks
from .settings import REFINE
from .world.clips import clip_paths, render_clips
from .world.grammar import caption

WEIGHTS = "weights/nano"
CLIPS, FRAMES = 3, 225
LEVELS = (0, 10, 30, 60, 120, 250)
# Sampled keyframes are those of a film after this step's noise was added and removed again, so that it is known what they
# should be.
FROM_STEP, SAMPLING_STEPS = 600, 8
# Every how many new frames of a pass one is decoded.
FIRST_PASS, SECOND_PASS = slice(6, None, 16), slice(5, None, 16)


def denoised(velocity, x, first_step, steps):
    """x₀ of x with the noise of `first_step`, by DDIM; `velocity` maps x and a step of the schedule to the velocity."""
    times = torch.linspace(first_step, 0, steps + 1).round().long()
    for time, following in zip(times, [*times[1:-1], None]):
        kept = ALPHAS_CUMPROD[time]
        x0 = (kept.sqrt() * x - (1 - kept).sqrt() * velocity(x, time)).clamp(-1, 1)
        if following is None:
            return x0
        noise = (x - kept.sqrt() * x0) / (1 - kept).sqrt()
        kept = ALPHAS_CUMPROD[following]
        x = kept.sqrt() * x0 + (1 - kept).sqrt() * noise


def perturbed(predict, level):
    """The prediction from given frames with noise of this level, which the network is told; like in training, it is the
    difference from the blend of the noisy frames."""
    def predict_perturbed(networks, left, right, time, *others):
        if level == 0:
            return predict(networks, left, right, time, *others)
        kept = ALPHAS_CUMPROD[level]
        generator = torch.Generator().manual_seed(level)
        noisy = [kept.sqrt() * frame + (1 - kept).sqrt() * torch.randn(frame.shape, generator=generator) for frame in (left, right)]
        found = predict(networks, *noisy, time, *others, torch.full_like(time, level))
        return found + linear_blend(*noisy) - linear_blend(left, right)

    return predict_perturbed


def sampled_again(networks, scenes, keyframes, positions):
    """Keyframes (clips, 15, 4, h, w) after noise was added and removed by the network, given their captions."""
    source = random.Random(3)
    ids, mask = tokenizer.encode_batch([caption(scene, source, plain=True) for scene in scenes], REFINE["architecture"]["contextTokens"])
    context = networks["text"](ids, mask)

    def velocity(x, time):
        return KeyframeStage.velocity(networks, x, time.repeat(len(x)), context, mask, positions)

    noise = torch.randn(keyframes.shape, generator=torch.Generator().manual_seed(5))
    noisy, _ = noised(keyframes, noise, torch.full((len(keyframes),), FROM_STEP))
    return denoised(velocity, noisy, FROM_STEP, SAMPLING_STEPS)


@torch.no_grad()
def study_perturbation():
    movq, networks, about = load_weights(WEIGHTS)
    drawn = [one for one in draw_scenes(REFINE, 4 * CLIPS, "perturbation", unseen=True) if len(one[0].things) == 1][:CLIPS]
    progress = torch.arange(FRAMES) / (FRAMES - 1)
    films = [render_clips([scene], [clip_paths(without_looks(scene), progress, random.Random(number))], about["frameSize"])[0]
             for scene, number in drawn]
    keyframes = torch.stack([movq.encode(film[::16]) for film in films])
    sampled = sampled_again(load_networks(REFINE, WEIGHTS), [scene for scene, _ in drawn], keyframes, torch.tensor(about["positions"]))

    def quality(latents, frames):
        """PSNR of decoded frames of every film."""
        return [decibels(movq.decode(ours[frames]), film[:: (FRAMES - 1) // (len(ours) - 1)][frames]) for ours, film in zip(latents, films)]

    print("| keyframes | frames | " + " | ".join(f"{level}" for level in LEVELS) + " |\n|---|---|" + "---|" * len(LEVELS), flush=True)
    for name, given in (("true", keyframes), ("sampled", sampled)):
        print(f"| {name} | the keyframes | {statistics.mean(quality(given, slice(None))):.1f} |" + " |" * (len(LEVELS) - 1))
        rows = [[], []]
        for level in LEVELS:
            first = interpolate(networks, given, SKIPS["films"], perturbed(predict, level))
            second = interpolate(networks, first, SKIPS["slow_films"], perturbed(predict, level))
            rows[0].append(quality(first, FIRST_PASS))
            rows[1].append(quality(second, SECOND_PASS))
        for title, row in zip(("first pass", "second pass"), rows):
            print(f"| {name} | {title} | " + " | ".join(f"{statistics.mean(films):.1f}" for films in row) + " |")
        changes = [[ours - none for ours, none in zip(films, rows[1][0])] for films in rows[1]]
        print(f"| {name} | change in the second, range | " + " | ".join(f"{min(c):+.1f} to {max(c):+.1f}" for c in changes) + " |", flush=True)
