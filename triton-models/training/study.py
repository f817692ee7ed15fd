"""python3 -m training.study {interpolation,keyframes,decoders,perturbation} --run FOLDER [--steps N] [--seeds N]

Compares the paper's designs at a small scale, with equal steps, batches and seeds, on 64×64 films of nano's small world seen
through nano's autoencoder (latents of 8×8). Prints a table in Markdown. Networks that are finished in FOLDER are not trained
again. `perturbation` trains nothing: it judges nano's own weights. Run from triton-models/.
"""

import argparse
import json
import os
import random
import statistics
import time

import torch

from . import tokenizer
from .arguments import at_least_one
from .autoencoder import decibels
from .diffusion import ALPHAS_CUMPROD, FIRST_STEP, noised
from .interpolation import LEAST_ERROR, SKIPS, InterpolationStage, interpolate, linear_blend, predict, temporal_groups
from .keyframes import KeyframeStage
from .masked_frames import MaskedFramesStage
from .networks.unet import TEMPORAL_CONDITIONINGS
from .pool import Pool, draw_scenes, encode_clips, load_movq, make_pool, render_scenes
from .refine import take_autoencoder
from .settings import ARCHITECTURE, CPU, GPU_ARCHITECTURE, MIXED_NORMS
from .step import Step
from .study_decoders import study_decoders
from .study_perturbation import denoised, perturbed, study_perturbation
from .trainer import learning_rate_at
from .world.detector import compare
from .world.grammar import WORLDS, caption
from .world_classifier import accuracy, classifier, frechet_distance

HELD_OUT = 32
# Steps of the classifier, and of sampling keyframes.
CLASSIFIER_STEPS, SAMPLING_STEPS = 600, 10
WARM_UP_STEPS = 20
TIMES = (100, 300, 500, 700, 900)
GUIDANCE = (0.0, 0.25, 0.5, 1.0)
LEVELS = (0, 10, 30, 60)
# Frames of a film that interpolation is trained on: three pairs.
PIECE = 13

# Width of the time embedding: it makes the variants' parameters equal within 10 %.
TIME_DIMS = {"Conv1dAttn1dLayers": 80, "Conv1dAttn1dBlocks": 64, "Conv1dAttn3dBlocks": 64, "Conv3dAttn1dBlocks": 48}
# Shared by all networks: one level, in which every block sees the other frames.
SMALL = {"model_channels": 32, "init_channels": 32, "groups": 4, "head_dim": 16, "dim_mult": [1], "num_blocks": [2], "add_self_attention": [True]}
SETTINGS = {
    **CPU, "workers": 1, "bfloat16": MIXED_NORMS, "architecture": {**ARCHITECTURE, "movq": GPU_ARCHITECTURE["movq"]}, "refine": {"from": "weights/nano"},
    "clips": {"count": 1440, "shards": 1, "stride": 4},
    "films": {"count": 120, "shards": 1, "stride": 1},
    "interpolation": {**CPU["interpolation"], "batch": 12},
    "keyframes": {**CPU["keyframes"], "families": 12, "members": 1, "sparse_until": 0},
}
# What judges is computed in float32.
EXACT = {**SETTINGS, "bfloat16": False}


def with_network(stage, **arguments):
    shapes = SETTINGS["architecture"]
    return {**SETTINGS, "architecture": {**shapes, stage: {**shapes[stage], **SMALL, **arguments}}}


def held_out(run_folder, name):
    """(scenes, latents) of clips that training never saw, encoded once."""
    path = os.path.join(run_folder, f"held-out-{name}.pt")
    if not os.path.exists(path):
        drawn = draw_scenes(SETTINGS, HELD_OUT, f"held out {name}", unseen=True)
        torch.save(encode_clips(load_movq(SETTINGS, run_folder), drawn, SETTINGS[name], EXACT), path)
    scenes, latents = torch.load(path, weights_only=False)
    return scenes, latents.float()


class Judges:
    """What looks at pictures: drawn clips that training never saw, and a classifier of the world."""

    def __init__(self, run_folder):
        self.movq = load_movq(SETTINGS, run_folder)
        drawn = draw_scenes(SETTINGS, HELD_OUT, "held out clips", unseen=True)
        self.scenes = [scene for scene, _ in drawn]
        self.truth = render_scenes(drawn, SETTINGS["clips"], SETTINGS["frame_size"])
        self.classifier = classifier(SETTINGS, WORLDS[SETTINGS["world"]], run_folder, CLASSIFIER_STEPS)
        right = accuracy(self.classifier, self.scenes, self.truth)
        print("classifier of the world, right:", ", ".join(f"{trait} {100 * share:.0f} %" for trait, share in right.items()), "\n")

    @torch.no_grad()
    def decode(self, latents):
        return torch.stack([self.movq.decode(clip).clamp(-1, 1) for clip in latents])

    def distance(self, clips, truth):
        return frechet_distance(self.classifier, clips, truth)


class Keyframes(KeyframeStage):
    warm_up_steps = WARM_UP_STEPS
    positions = torch.arange(15) * 12

    def prepare(self):
        self.pool = Pool(self.run_folder, "clips", 1, "cpu")


class Pieces(Pool):
    """The beginnings of clips."""

    def clips(self, numbers, backwards):
        return super().clips(numbers, backwards)[:, :PIECE]


class GroupsOfThree(InterpolationStage):
    """Trained on pairs of frames 16 apart, as the first pass sees them, and 4 apart, as the second does."""

    warm_up_steps = WARM_UP_STEPS

    def prepare(self):
        self.pools = {name: Pieces(self.run_folder, pool, 1, "cpu") for name, pool in zip(SKIPS, ("clips", "films"))}
        self.in_place = {name: [False] * len(pool.scenes) for name, pool in self.pools.items()}


class MaskedFrames(MaskedFramesStage, GroupsOfThree):
    pass


def trained(stage, run_folder, name, steps, seed):
    """The stage's averaged networks after so many steps from this seed."""
    path = os.path.join(run_folder, f"{name}-{steps}-{seed}.pt")
    if os.path.exists(path):
        stage.networks.load_state_dict(torch.load(path))
        return stage.networks.eval().requires_grad_(False)
    stage.prepare()
    averaged = stage.build()
    averaged.load_state_dict(stage.networks.state_dict())
    averaged.requires_grad_(False)
    step, generator = Step(stage, averaged), torch.Generator().manual_seed(seed)
    # Building took random numbers, of another count for every design: noise is equal from here on.
    torch.manual_seed(seed)
    for index in range(steps):
        phase, batch = stage.draw(generator, index / steps)
        figures = step(phase, batch, learning_rate_at(stage, index, index / steps))
        if index % 25 == 24:
            print(f"{name}, seed {seed}, step {index + 1}, {time.process_time():.0f} s of processor:",
                  {key: round(float(value), 4) for key, value in figures.items()}, flush=True)
    torch.save(averaged.state_dict(), f"{path}.part")
    os.replace(f"{path}.part", path)
    return averaged.eval()


def build(stage_class, settings, run_folder, seed):
    torch.manual_seed(seed)
    return stage_class(settings, run_folder, "cpu")


def train_all(designs, run_folder, steps, seeds):
    """The trained (stage, networks) of every design, {name: (stage class, settings)}, by name and seed: first all of one seed."""
    found = {name: [] for name in designs}
    for seed in range(1, seeds + 1):
        for name, (stage_class, settings) in designs.items():
            stage = build(stage_class, settings, run_folder, seed)
            found[name].append((stage, trained(stage, run_folder, name.replace(" ", "-"), steps, seed)))
    return found


def parameters(networks):
    return sum(parameter.numel() for parameter in networks["unet"].parameters())


def record(run_folder, study, name, steps, seed, figures):
    """Adds a network's figures, by column, to the study's lines of JSON; `steps` it was trained for."""
    with open(os.path.join(run_folder, f"{study}.jsonl"), "a") as file:
        file.write(json.dumps({"name": name, "steps": steps, "seed": seed, **figures}) + "\n")


def print_judged(run_folder, study, columns, steps, found, judge):
    """A row of the table for every design of `found`; `judge` maps (stage, networks) to the columns' figures."""
    for name, trained_stages in found.items():
        results = []
        for seed, (stage, networks) in enumerate(trained_stages, 1):
            results.append(judge(stage, networks))
            record(run_folder, study, name, steps, seed, dict(zip(columns, results[-1])))
        cells = [over_seeds(list(column)) for column in zip(*results)]
        print(f"| {name} | {parameters(trained_stages[0][1])} | " + " | ".join(cells) + " |", flush=True)


def over_seeds(values):
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ± {(max(values) - min(values)) / 2:.3f}"


def gain(made, film):
    """Decibels by which the frames between are nearer to the truth than their blend, of every film."""
    left, truth, right = temporal_groups(film)
    def error(frames):
        return (frames - truth).pow(2).unflatten(0, (len(film), -1)).flatten(1).mean(1) + LEAST_ERROR

    return 10 * torch.log10(error(linear_blend(left, right)) / error(temporal_groups(made)[1]))


def guided(predict, weight):
    """The prediction with guidance."""
    def predict_guided(networks, left, right, *others):
        given = predict(networks, left, right, *others)
        if weight == 0:
            return given
        return given + weight * (given - predict(networks, 0 * left, 0 * right, *others))

    return predict_guided


def two_passes(networks, predict, level, films):
    """Mean squared error of 49 frames made from 4, the second pass from given frames with noise of this level."""
    first = interpolate(networks, films[:, :49:16], SKIPS["films"], predict)
    second = interpolate(networks, first, SKIPS["slow_films"], perturbed(predict, level))
    return (second - films[:, :49]).pow(2).mean().item()


@torch.no_grad()
def judge_interpolation(networks, predict, clips, films, judges):
    """Gains by guidance between frames 16 apart, errors of two passes by level; decoded, the PSNR of the middle frame of every
    three and the Fréchet distance of the pieces from drawn ones."""
    made = {w: interpolate(networks, clips[:, ::4], SKIPS["films"], guided(predict, w)) for w in GUIDANCE}
    errors = [10 * torch.tensor(two_passes(networks, predict, level, films)).log10().item() for level in LEVELS]
    return [*(gain(clips_made, clips).mean().item() for clips_made in made.values()), *errors, *judge_pixels(made[0.0], judges)]


def judge_pixels(clips, judges):
    decoded, truth = judges.decode(clips), judges.truth[:, :PIECE]
    between = (each[:, 2::4].flatten(0, 1) for each in (decoded, truth))
    return [decibels(*between), judges.distance(decoded, truth)]


def interpolation_designs():
    """(stage class, settings) by name."""
    return {"groups of three": (GroupsOfThree, with_network("interpolation")),
            "masked frames": (MaskedFrames, with_network("interpolation", num_channels=9, out_channels=4))}


def study_interpolation(run_folder, steps, seeds):
    found = train_all(interpolation_designs(), run_folder, steps, seeds)
    clips, films = held_out(run_folder, "clips")[1][:, :PIECE], held_out(run_folder, "films")[1]
    judges = Judges(run_folder)
    columns = [*(f"w = {w}" for w in GUIDANCE), *(f"level {level}" for level in LEVELS), "PSNR", "Fréchet"]
    print("| | parameters | " + " | ".join(columns) + " |\n|---|---|" + "---|" * len(columns))
    blended = interpolate(None, clips[:, ::4], SKIPS["films"], lambda _, left, *others: 0)
    for name, latents in (("truth, through the autoencoder", clips), ("blend", blended)):
        psnr, distance = judge_pixels(latents, judges)
        print(f"| {name} | | " + " | " * (len(columns) - 2) + f"{psnr:.3f} | {distance:.3f} |", flush=True)
    print_judged(run_folder, "interpolation", columns, steps, found,
                 lambda stage, networks: judge_interpolation(networks, stage.predict, clips, films, judges))


@torch.no_grad()
def sample_keyframes(stage, networks, context, mask, shape):
    """Latents of this shape from noise, by DDIM without guidance."""
    def velocity(x, time):
        return stage.velocity(networks, x, time.repeat(len(x)), context, mask, stage.positions)

    return denoised(velocity, torch.randn(shape, generator=torch.Generator().manual_seed(5)), FIRST_STEP, SAMPLING_STEPS)


@torch.no_grad()
def judge_keyframes(stage, networks, scenes, latents, judges):
    """Squared error of the velocity on held-out clips by time, its mean, its mean with another clip's captions; of clips sampled
    from noise, their Fréchet distance from drawn ones and what the detector sees in them."""
    def errors(sentences):
        ids, mask = tokenizer.encode_batch(sentences, stage.tokens)
        context = networks["text"](ids, mask)
        generator, found = torch.Generator().manual_seed(7), []
        for time in TIMES:
            times = torch.full((len(latents),), time)
            noisy, target = noised(latents, torch.randn(latents.shape, generator=generator), times)
            output = stage.velocity(networks, noisy, times, context, mask, stage.positions)
            found.append((output - target).pow(2).mean().item())
        return found

    source = random.Random(3)
    sentences = [caption(scene, source, plain=True) for scene in scenes]
    right, wrong = errors(sentences), errors(sentences[1:] + sentences[:1])
    ids, mask = tokenizer.encode_batch(sentences, stage.tokens)
    made = judges.decode(sample_keyframes(stage, networks, networks["text"](ids, mask), mask, latents.shape))
    return [*right, statistics.mean(right), statistics.mean(wrong), judges.distance(made, judges.truth), *seen_right(scenes, made)]


def seen_right(scenes, clips):
    """Percentage of the five traits that the detector sees right, and of clips in which it sees all of them right."""
    seen = [compare(scene, clip) for scene, clip in zip(scenes, clips)]
    whole = [right.pop("all") for right in seen]
    return [100 * statistics.mean(value for right in seen for value in right.values()), 100 * statistics.mean(whole)]


def keyframe_designs():
    """(stage class, settings) by name."""
    return {
        name: (Keyframes, with_network("keyframes", add_cross_attention=[True], temporal_conditioning=name, time_embed_dim=TIME_DIMS[name]))
        for name in TEMPORAL_CONDITIONINGS
    }


def study_keyframes(run_folder, steps, seeds):
    found = train_all(keyframe_designs(), run_folder, steps, seeds)
    scenes, latents = held_out(run_folder, "clips")
    judges = Judges(run_folder)
    columns = [*(f"t = {time}" for time in TIMES), "mean", "mean, wrong captions", "Fréchet", "traits right, %", "all right, %"]
    print("| | parameters | " + " | ".join(columns) + " |\n|---|---|" + "---|" * len(columns))
    decoded = judges.decode(latents)
    figures = [judges.distance(decoded, judges.truth), *seen_right(scenes, decoded)]
    print("| truth, through the autoencoder | | " + " | " * (len(columns) - 3) + " | ".join(f"{figure:.3f}" for figure in figures) + " |")
    print_judged(run_folder, "keyframes", columns, steps, found,
                 lambda stage, networks: judge_keyframes(stage, networks, scenes, latents, judges))


STUDIES = {
    "interpolation": (study_interpolation, ("clips", "films")),
    "keyframes": (study_keyframes, ("clips",)),
    "perturbation": (lambda *_: study_perturbation(), ()),
    "decoders": (lambda *run: study_decoders(SETTINGS, *run, over_seeds, record), ()),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--run", required=True, help="folder for pools and trained networks")
    parser.add_argument("--steps", type=at_least_one, help="training steps of every network (default: 2000)")
    parser.add_argument("--seeds", type=at_least_one, help="networks of each design (default: 2)")
    arguments = parser.parse_args()
    if arguments.study == "perturbation" and (arguments.steps or arguments.seeds):
        parser.error("perturbation trains nothing: it takes neither --steps nor --seeds")
    os.makedirs(arguments.run, exist_ok=True)
    torch.set_num_threads(1)
    study, pools = STUDIES[arguments.study]
    take_autoencoder(SETTINGS, arguments.run)
    for name in pools:
        make_pool(SETTINGS, arguments.run, name)
    study(arguments.run, arguments.steps or 2000, arguments.seeds or 2)


if __name__ == "__main__":
    main()
