"""A small classifier of the world's clips, trained on the world itself: a judge for sets of clips.

The Fréchet distance on its features says how far made clips are from drawn ones. It is ours: its figures compare with no others.
"""

import os
import random

import torch
import torch.nn.functional as F
from torch import nn

from .pool import draw_scenes, render_scenes

FEATURES = 12
BATCH, RATE = 12, 2e-3
TRAITS = ("background", "colour", "shape", "size", "motion")


class WorldClassifier(nn.Module):
    """clips (n, t, 3, 64, 64) in [-1, 1] -> logits by trait; `features` (n, FEATURES) are what they are computed from."""

    def __init__(self, world):
        super().__init__()
        self.choices = {"background": world.backgrounds, "colour": world.colours, "shape": world.shapes, "size": world.sizes,
                        "motion": world.motions}
        # With two channels of coordinates, so that a mean over places says where things are.
        sizes = (5, 16, 32, 48)
        self.frames = nn.Sequential(*(
            layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(4, b), nn.SiLU())))
        self.places = nn.Conv2d(48, 6, 1)
        self.times = nn.Sequential(nn.Conv1d(2 * 48 + 12, 64, 5, padding=2), nn.SiLU(), nn.Conv1d(64, 64, 5, padding=2), nn.SiLU())
        self.to_features = nn.Linear(128, FEATURES)
        self.heads = nn.ModuleDict({trait: nn.Linear(FEATURES, len(choices)) for trait, choices in self.choices.items()})

    def features(self, clips):
        count, length = clips.shape[:2]
        flat = clips.flatten(0, 1)
        places = torch.linspace(-1, 1, flat.shape[-1])
        grid = torch.stack(torch.meshgrid(places, places, indexing="ij"))[None].expand(len(flat), -1, -1, -1)
        x = self.frames(torch.cat([flat, grid], dim=1))
        # Where six learnt patterns are: the mean place by their weights.
        weights = self.places(x).flatten(2).softmax(-1)
        places = torch.linspace(-1, 1, x.shape[-1])
        rows, columns = (axis.flatten() for axis in torch.meshgrid(places, places, indexing="ij"))
        # The largest values say what a small thing looks like, of which the mean has little.
        per_frame = torch.cat([x.mean((2, 3)), x.amax((2, 3)), weights @ rows, weights @ columns], dim=1)
        x = self.times(per_frame.unflatten(0, (count, length)).transpose(1, 2))
        return self.to_features(torch.cat([x.mean(2), x.amax(2)], dim=1))

    def forward(self, clips):
        features = self.features(clips)
        return {trait: head(features) for trait, head in self.heads.items()}

    def labels(self, scenes):
        """(n,) numbers by trait; scenes have one thing."""
        def value(scene, trait):
            return scene.background if trait == "background" else getattr(scene.things[0], trait)

        return {trait: torch.tensor([list(choices).index(value(scene, trait)) for scene in scenes])
                for trait, choices in self.choices.items()}


def classifier(settings, world, run_folder, steps):
    """The classifier after so many steps on drawn clips, from `run_folder` if it was trained before."""
    path = os.path.join(run_folder, f"classifier-{steps}.pt")
    torch.manual_seed(1)
    network = WorldClassifier(world)
    if os.path.exists(path):
        network.load_state_dict(torch.load(path))
        return network.eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for step in range(steps):
        drawn = draw_scenes(settings, BATCH, f"classifier {step}")
        clips = render_scenes(drawn, settings["clips"], settings["frame_size"])
        clips = clips + 0.05 * random.Random(step).random() * torch.randn_like(clips)
        logits, labels = network(clips), network.labels([scene for scene, _ in drawn])
        loss = sum(F.cross_entropy(logits[trait], labels[trait]) for trait in TRAITS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print("classifier", step + 1, round(loss.item(), 3), flush=True)
    torch.save(network.state_dict(), f"{path}.part")
    os.replace(f"{path}.part", path)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(network, scenes, clips):
    """Share of right answers by trait."""
    logits, labels = network(clips), network.labels(scenes)
    return {trait: (logits[trait].argmax(1) == labels[trait]).float().mean().item() for trait in TRAITS}


@torch.no_grad()
def frechet_distance(network, clips, others):
    """Between the features of two sets of clips (n, t, 3, 64, 64)."""
    rows = [torch.cat([network.features(part) for part in each.split(BATCH)]).double() for each in (clips, others)]
    (mean, covariance), (other_mean, other_covariance) = ((each.mean(0), each.T.cov()) for each in rows)
    # The trace of the root of a product of covariances, by its eigenvalues, which are real and not negative.
    roots = torch.linalg.eigvals(covariance @ other_covariance).real.clamp(min=0).sqrt().sum()
    return ((mean - other_mean).pow(2).sum() + covariance.trace() + other_covariance.trace() - 2 * roots).item()
