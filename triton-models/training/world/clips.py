"""From scenes to moving pictures: paths of the things, rendered at any of a clip's 57 frames."""

import math

import torch

from .renderer import render, unit_colour
from .vocabulary import BACKGROUNDS, COLOURS, LANES_OF_MOTION, SHAPES, SIZES, SPEEDS

FRAMES = 57
KEYFRAME_STRIDE = 4
DIRECTIONS = {
    "left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "up-left": (-0.8, -0.8), "up-right": (0.8, -0.8),
    "down-left": (-0.8, 0.8), "down-right": (0.8, 0.8),
}
# Turns that a spinning thing makes in a clip.
TURNS = 0.5
# Radius at the start and the end of growing, times the size's radius.
GROWTH = (0.5, 1.25)
# Where things stand or move along: few positions, so that caption and time determine most of a picture, and whole
# latents of 8 pixels apart.
PLACES = (0.5, 0.5, 0.375, 0.625)
# Two things: the centres of their lanes, positions along a lane, and the factor applied to the radius.
LANES = (0.25, 0.75)
STOPS = (0.3, 0.7)
PAIR_SCALE = 0.65


def path(thing, lane, rows, u, random):
    """x, y, radius and angle over progress u (t,). Of two things the first is in the upper or the left `lane` 0, the other
    in lane 1: rows below each other or columns side by side. One alone has None."""
    radius = SIZES[thing.size] * (1 if lane is None else PAIR_SCALE)
    margin = 1.15 * radius + 0.02
    distance = SPEEDS[thing.speed] * (1 - 2 * margin)
    direction = DIRECTIONS.get(thing.motion, (0, 0))
    if lane is None:
        x, y = (0.5 if component else random.choice(PLACES) for component in direction)
    else:
        along = random.choice(STOPS) if direction == (0, 0) else 0.5
        x, y = (along, LANES[lane]) if rows else (LANES[lane], along)
    ones = torch.ones_like(u)
    xs = x + direction[0] * distance * (u - 0.5)
    ys = y + direction[1] * distance * (u - 0.5)
    radii, angles = radius * ones, 0 * ones
    if thing.motion in ("growing", "shrinking"):
        start, end = GROWTH if thing.motion == "growing" else GROWTH[::-1]
        radii = radius * (start + (end - start) * u)
        limit = 1.15 * radius * max(GROWTH) + 0.02
        xs, ys = (c.clamp(limit, 1 - limit) for c in (xs, ys))
    elif thing.motion == "bouncing":
        floor = 1 - margin
        ys = floor - min(0.5, floor - margin) * (3 * math.pi * u).sin().abs()
    elif thing.motion == "spinning":
        angles = 2 * math.pi * TURNS * u
    elif thing.motion == "circling":
        orbit = min(0.24, 0.5 - margin)
        xs = 0.5 + orbit * (2 * math.pi * u).cos()
        ys = 0.5 + orbit * (2 * math.pi * u).sin()
    return xs, ys, radii, angles


def clip_paths(scene, u, random):
    """(things, t, 4) x, y, radius and angle of each thing."""
    alone = len(scene.things) == 1
    rows = all(LANES_OF_MOTION[thing.motion] != "columns" for thing in scene.things)
    paths = [path(thing, None if alone else lane, rows, u, random) for lane, thing in enumerate(scene.things)]
    return torch.stack([torch.stack(one, dim=-1) for one in paths])


def render_clips(scenes, paths, size, device="cpu"):
    """(clips, t, 3, size, size) in [-1, 1]; paths as of `clip_paths`, one a scene."""
    steps = paths[0].shape[1]
    background = unit_colour([BACKGROUNDS[scene.background] for scene in scenes]).repeat_interleave(steps, dim=0)
    layers = []
    for index in range(max(len(scene.things) for scene in scenes)):
        rows = [(s.things[index], p[index]) if index < len(s.things) else (s.things[0], p[0] * 0) for s, p in zip(scenes, paths)]
        x, y, radius, angle = torch.cat([p for _, p in rows]).unbind(dim=-1)
        layer = {
            "shape": torch.tensor([SHAPES.index(t.shape) for t, _ in rows]).repeat_interleave(steps),
            "x": x, "y": y, "radius": radius, "angle": angle,
            "colour": unit_colour([COLOURS[t.colour] for t, _ in rows]).repeat_interleave(steps, dim=0),
        }
        layers.append({name: values.to(device) for name, values in layer.items()})
    return render(background.to(device), layers, size).unflatten(0, (len(scenes), steps))


def progress(stride=KEYFRAME_STRIDE):
    """Progress of every `stride`-th frame of a clip, 0 to 1."""
    return torch.arange(0, FRAMES, stride) / (FRAMES - 1)
