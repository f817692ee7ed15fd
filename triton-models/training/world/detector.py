"""A classical detector: recognises what a clip of one thing shows, from its pixels alone."""

import math

import torch

from .renderer import render, unit_colour
from .vocabulary import BACKGROUNDS, COLOURS, SHAPES

LARGE_AREA = 0.072  # of the canvas, between the small and the large ones of every shape
LEAST_TRAVEL = 0.14
LEAST_GROWTH = 0.7  # of the area's logarithm
VISIBLE = 0.12  # distance of a pixel from the background, in [-1, 1] RGB, that belongs to no background
DIRECTIONS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")


def nearest(colour, palette):
    distances = (unit_colour(list(palette.values())) - colour).pow(2).sum(-1)
    return list(palette)[int(distances.argmin())]


def find_background(frames):
    """Median colour of the frames' rims."""
    rim = torch.cat([frames[..., 0, :], frames[..., -1, :], frames[..., :, 0], frames[..., :, -1]], dim=-1)
    return rim.transpose(0, 1).flatten(1).median(dim=1).values


def find_thing(frames, background):
    """The thing's colour and (t, h, w) how much of each pixel it covers; None where nothing stands out."""
    difference = frames - background[None, :, None, None]
    distance = difference.pow(2).sum(1).sqrt()
    strongest = distance.flatten().kthvalue(int(distance.numel() * 0.995)).values
    if strongest < VISIBLE * 2:
        return None
    inside = distance > 0.75 * strongest
    colour = torch.stack([frames[:, c][inside].median() for c in range(3)])
    axis = colour - background
    cover = (difference * axis[None, :, None, None]).sum(1) / axis.pow(2).sum()
    return colour, (cover.clamp(0, 1) - 0.1).clamp(min=0) / 0.9


def moments(cover):
    """Area (of the canvas) and centre of each frame's thing; centres of empty frames are the canvas' centre."""
    size = cover.shape[-1]
    grid = (torch.arange(size) + 0.5) / size
    mass = cover.sum(dim=(1, 2))
    x = torch.where(mass > 1, (cover.sum(1) * grid).sum(1) / mass.clamp(min=1), torch.tensor(0.5))
    y = torch.where(mass > 1, (cover.sum(2) * grid).sum(1) / mass.clamp(min=1), torch.tensor(0.5))
    return mass / size**2, x, y


def shape_areas():
    """Area of each shape at radius 1, by drawing it."""
    count = len(SHAPES)
    half = torch.full((count,), 0.5)
    thing = {"shape": torch.arange(count), "x": half, "y": half, "radius": half * 0.5, "angle": half * 0, "colour": torch.ones(count, 3)}
    drawn = render(-torch.ones(count, 3), [thing], 128)
    return (drawn[:, 0] + 1).mean(dim=(1, 2)) / 2 / 0.25**2


AREAS = shape_areas()
# Offset of the area's centroid from the drawing's origin: only stars have one (less than a hundredth).


def find_shape(cover, area, x, y, angles):
    """The shape whose drawing, at the same place and area, overlaps best over all frames."""
    scores = []
    for index in range(len(SHAPES)):
        best = torch.full((len(area),), -1.0)
        for angle in angles:
            count = len(area)
            thing = {"shape": torch.full((count,), index), "x": x, "y": y, "radius": (area / AREAS[index]).sqrt(),
                     "angle": torch.full((count,), angle), "colour": torch.ones(count, 3)}
            drawn = (render(-torch.ones(count, 3), [thing], cover.shape[-1])[:, 0] + 1) / 2
            overlap = torch.minimum(drawn, cover).sum(dim=(1, 2)) / torch.maximum(drawn, cover).sum(dim=(1, 2)).clamp(min=1e-6)
            best = torch.maximum(best, overlap)
        scores.append(best.mean())
    return SHAPES[int(torch.stack(scores).argmax())]


def find_motion(cover, area, x, y):
    ends = max(1, len(x) // 7)
    growth = math.log(max(area[-ends:].mean().item(), 1e-5) / max(area[:ends].mean().item(), 1e-5))
    dx, dy = ((c[-ends:].mean() - c[:ends].mean()).item() for c in (x, y))
    travel = math.hypot(dx, dy)
    spread = max((x.max() - x.min()).item(), (y.max() - y.min()).item())
    if abs(growth) > LEAST_GROWTH and travel < 0.3:
        return "growing" if growth > 0 else "shrinking"
    if spread > 0.2 and travel < 0.6 * spread:
        wide, high = (c.max() - c.min() for c in (x, y))
        return "circling" if wide > 0.5 * high else "bouncing"
    if travel > LEAST_TRAVEL:
        return DIRECTIONS[round(math.atan2(dy, dx) / (math.pi / 4)) % 8]
    middle = cover[len(cover) // 2 - 1 : len(cover) // 2 + 2]
    turning = torch.stack([(cover[i] - cover[i + len(cover) // 6]).abs().sum() for i in range(0, len(cover) // 2)])
    return "spinning" if turning.mean() / middle.sum().clamp(min=1) * 3 > 0.35 else "still"


def detect(frames):
    """frames (t, 3, h, w) in [-1, 1] -> dict of background, colour, size, shape, motion (None: nothing found)."""
    found = dict.fromkeys(("background", "colour", "size", "shape", "motion"))
    background = find_background(frames)
    found["background"] = nearest(background, BACKGROUNDS)
    thing = find_thing(frames, background)
    if thing is None:
        return found
    colour, cover = thing
    area, x, y = moments(cover)
    if area.median() < 0.003:
        return found
    found["colour"] = nearest(colour, COLOURS)
    found["size"] = "large" if area.median() > LARGE_AREA else "small"
    found["motion"] = find_motion(cover, area, x, y)
    angles = [i * math.pi / 15 for i in range(30)] if found["motion"] == "spinning" else [0.0]
    found["shape"] = find_shape(cover, area, x, y, angles)
    return found


def compare(scene, frames):
    """Which of the five traits of a scene with one thing the detector sees in its frames, and all of them together."""
    found, thing = detect(frames), scene.things[0]
    right = {trait: found[trait] == getattr(thing, trait) for trait in ("colour", "size", "shape", "motion")}
    right["background"] = found["background"] == scene.background
    right["all"] = all(right.values())
    return right
