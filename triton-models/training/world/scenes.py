"""Random single frames for the autoencoder: the world's colours and shapes anywhere, at any size."""

import torch

from .renderer import render, unit_colour
from .vocabulary import BACKGROUNDS, COLOURS

# How often each of SHAPES is drawn: plain ones often, the fiddly star and ring less.
SHAPE_WEIGHTS = (0.27, 0.27, 0.28, 0.09, 0.09)


def uniform(generator, count, low, high):
    return low + (high - low) * torch.rand(count, generator=generator)


def pick(palette, count, generator):
    """(n, 3) of the palette; one in ten shifted slightly, so that nothing depends on exact values."""
    colours = unit_colour(list(palette.values()))[torch.randint(len(palette), (count,), generator=generator)]
    shifted = (torch.rand(count, 1, generator=generator) < 0.1).float()
    return (colours + shifted * 0.1 * torch.randn(count, 3, generator=generator)).clamp(-1, 1)


def random_object(count, generator):
    tilted = torch.rand(count, generator=generator) < 0.15
    return {
        "shape": torch.multinomial(torch.tensor(SHAPE_WEIGHTS), count, replacement=True, generator=generator),
        "x": uniform(generator, count, 0.12, 0.88),
        "y": uniform(generator, count, 0.12, 0.88),
        "radius": uniform(generator, count, 0.04, 0.3),
        "angle": tilted * uniform(generator, count, 0, 6.2832),
        "colour": pick(COLOURS, count, generator),
    }


def random_frames(count, size, window, generator, device="cpu"):
    """(n, 3, window, window) in [-1, 1]; a window smaller than the canvas is placed over an edge of the first object."""
    background = pick(BACKGROUNDS, count, generator)
    first, second = random_object(count, generator), random_object(count, generator)
    second["radius"] = second["radius"] * (torch.rand(count, generator=generator) < 0.2)
    origin = None
    if window < size:
        spread = first["radius"] + 0.3 * window / size
        centre_x = first["x"] + spread * uniform(generator, count, -1, 1)
        centre_y = first["y"] + spread * uniform(generator, count, -1, 1)
        origin = torch.stack([centre_x, centre_y], dim=1) * size - window / 2
        origin = (origin.clamp(0, size - window) / 8).round() * 8
    things = [{name: values.to(device) for name, values in thing.items()} for thing in (first, second)]
    return render(background.to(device), things, size, window, None if origin is None else origin.to(device))
