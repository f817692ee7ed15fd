"""Pools of clips encoded once: latents on disk with their scenes, drawn from by the diffusion stages.

A pool holds families: clips that differ in one trait of one thing and in nothing else, or single clips.
"""

import dataclasses
import functools
import os
import pickle
import random

import numpy
import torch

from .autoencoder import AutoencoderStage, fold_latent_scale
from .networks.movq import MoVQ
from .safetensors_io import load, save
from .trainer import load_averaged
from .world.clips import clip_paths, progress, render_clips
from .world.grammar import WORLDS, Scene, held_out, possible_scene, random_scene

# Per-channel range that becomes [-1, 1]; values outside are rarer than those that the sampler clips.
RANGE_QUANTILES = (0.0005, 0.9995)


def movq_path(settings, run_folder):
    return os.path.join(run_folder, "movq.safetensors")


def finish_autoencoder(settings, run_folder):
    """Folds the latents' range into the trained autoencoder and writes it (float32) for the later stages."""
    path = movq_path(settings, run_folder)
    if os.path.exists(path):
        return
    movq = load_averaged(run_folder, AutoencoderStage(settings, run_folder, settings["device"]))["movq"]
    latents = encode_clips(movq, draw_scenes(settings, 256, "range"), settings["clips"], settings)[1]
    channels = latents.float().transpose(0, 2).flatten(1)
    values = channels[:, torch.randperm(channels.shape[1])[:100_000]]
    low, high = (values.quantile(q, dim=1).to(settings["device"]) for q in RANGE_QUANTILES)
    fold_latent_scale(movq, low, high)
    save(movq.state_dict(), path)


def load_movq(settings, run_folder):
    movq = MoVQ(**settings["architecture"]["movq"])
    movq.load_state_dict(load(movq_path(settings, run_folder)))
    return movq.to(settings["device"], memory_format=torch.channels_last).eval().requires_grad_(False)


def draw_scenes(settings, count, purpose, unseen=False):
    """Scenes and their paths' random numbers, a function of the seed and the purpose alone."""
    source = random.Random(f"{settings['seed']} {purpose}")
    return [(random_scene(WORLDS[settings["world"]], source, unseen), source.random()) for _ in range(count)]


KINDS = ("single", "spinning", "pair")


def kind_of(scene):
    """One of KINDS."""
    if len(scene.things) == 2:
        return "pair"
    return "spinning" if scene.things[0].motion == "spinning" else "single"


def draw_kinds(settings, count, purpose, kinds, unseen=False):
    """Like `draw_scenes`, with each kind drawn in proportion to its weight."""
    source, drawn = random.Random(f"{settings['seed']} {purpose}"), []
    for kind in source.choices(list(kinds), kinds.values(), k=count):
        while kind_of(scene := random_scene(WORLDS[settings["world"]], source, unseen)) != kind:
            pass
        drawn.append((scene, source.random()))
    return drawn


def family(scene, world):
    """The scene and those of the training part that differ from it only in one thing's shape; with two things, also the
    scene with their colours swapped."""
    things = scene.things

    def replaced(index, **traits):
        return tuple(dataclasses.replace(thing, **traits) if i == index else thing for i, thing in enumerate(things))

    others = [replaced(index, shape=shape) for index in range(len(things)) for shape in world.shapes]
    if len(things) == 2:
        others.append(tuple(dataclasses.replace(thing, colour=other.colour) for thing, other in zip(things, reversed(things))))
    others = (Scene(scene.background, other) for other in others if other != things)
    return [scene] + [other for other in others if possible_scene(other) and not held_out(other)]


@functools.lru_cache(maxsize=64)
def paths_of(scene, number, stride, pace):
    steps = progress(stride)
    return clip_paths(scene, (1 - pace) * number + pace * steps, random.Random(number))


def without_looks(scene):
    """Scenes that differ only in shapes and colours move alike."""
    return Scene("", tuple(dataclasses.replace(thing, shape="", colour="") for thing in scene.things))


def render_scenes(drawn, options, size, device="cpu"):
    """(clips, t, 3, size, size) of scenes as `draw_scenes` gives them, every `stride`-th frame of the options'; with a
    `pace` below 1, a random part of the clip of that length, in the same number of frames."""
    paths = [paths_of(without_looks(scene), number, options["stride"], options.get("pace", 1)) for scene, number in drawn]
    return render_clips([scene for scene, _ in drawn], paths, size, device)


@torch.no_grad()
def encode_clips(movq, drawn, options, settings):
    """(scenes, latents (clips, t, 4, h, w) float16 on the CPU)."""
    latents = []
    batch = settings["encoded_at_once"]
    for begin in range(0, len(drawn), batch):
        frames = render_scenes(drawn[begin : begin + batch], options, settings["frame_size"], settings["device"])
        flat = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(settings["device"], dtype=torch.bfloat16, enabled=settings.get("bfloat16", False)):
            latents.append(movq.encode(flat).unflatten(0, frames.shape[:2]).half())
    return [scene for scene, _ in drawn], torch.cat(latents).cpu()


def make_shard(settings, run_folder, name, shard):
    torch.set_num_threads(1 if settings["device"] == "cpu" else torch.get_num_threads())
    path = os.path.join(run_folder, f"{name}.{shard}")
    if os.path.exists(f"{path}.pkl"):
        return
    options = settings[name]
    count, purpose = options["count"] // options["shards"], f"{name} {shard}"
    kinds, world = options.get("kinds"), WORLDS[settings["world"]]
    drawn = draw_kinds(settings, count, purpose, kinds) if kinds else draw_scenes(settings, count, purpose)
    families = [(family(scene, world) if options.get("families") else [scene], number) for scene, number in drawn]
    if "members" in options:
        source = random.Random(purpose)
        families = [(scenes[:1] + source.sample(scenes[1:], min(len(scenes), options["members"]) - 1), number)
                    for scenes, number in families]
    members = [(scene, number) for scenes, number in families for scene in scenes]
    _, latents = encode_clips(load_movq(settings, run_folder), members, options, settings)
    numpy.save(f"{path}.npy", latents.numpy())
    with open(f"{path}.pkl", "wb") as file:
        pickle.dump([scenes for scenes, _ in families], file)


def make_pool(settings, run_folder, name):
    """Encodes the pool `name` ("clips": keyframes; "films", "slow_films": all frames) in shards."""
    jobs = [(settings, run_folder, name, shard) for shard in range(settings[name]["shards"])]
    if settings["workers"] == 1:
        for job in jobs:
            make_shard(*job)
        return
    with torch.multiprocessing.get_context("spawn").Pool(settings["workers"]) as processes:
        processes.starmap(make_shard, jobs, chunksize=1)


class Pool:
    """The clips of all finished shards, in the device's memory: `latents` (clips, t, 4, h, w) float16, `scenes`, and the
    clips' numbers by family."""

    def __init__(self, run_folder, name, shards, device):
        self.scenes, self.families, latents = [], [], []
        for shard in range(shards):
            path = os.path.join(run_folder, f"{name}.{shard}")
            latents.append(torch.from_numpy(numpy.load(f"{path}.npy")))
            with open(f"{path}.pkl", "rb") as file:
                families = pickle.load(file)
            for scenes in families:
                self.families.append(range(len(self.scenes), len(self.scenes) + len(scenes)))
                self.scenes += scenes
        self.latents = torch.cat(latents).to(device)

    def clips(self, numbers, backwards):
        """Latents (clips, t, 4, h, w) float32 of the clips, played backwards where requested."""
        device = self.latents.device
        flipped = torch.tensor(backwards).to(device)[:, None, None, None, None]
        clips = self.latents[torch.tensor(numbers).to(device)].float()
        return torch.where(flipped, clips.flip(1), clips)
