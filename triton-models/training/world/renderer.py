"""Draws frames of coloured shapes: vectorised over frames, anti-aliased by signed distance, resolution-free."""

import math

import torch

from .vocabulary import SHAPES

TAU = 2 * math.pi


def circle(x, y):
    return (x * x + y * y).sqrt() - 1


def square(x, y):
    return torch.maximum(x.abs(), y.abs()) - 0.9


def triangle(x, y):
    """Equilateral, tip up, its centroid at the origin."""
    circumradius = 1.3
    slanted = 0.8660254 * x.abs() - 0.5 * y
    return torch.maximum(slanted, y) - circumradius / 2


def star(x, y):
    """Five points: fold the plane into one tenth, then the distance to one edge."""
    outer, inner, sector = 1.35, 0.58, TAU / 5
    angle = torch.atan2(x, -y)
    angle = (torch.remainder(angle + sector / 2, sector) - sector / 2).abs()
    radius = (x * x + y * y).sqrt()
    dent_x, dent_y = inner * math.sin(sector / 2), inner * math.cos(sector / 2)
    length = math.hypot(dent_x, dent_y - outer)
    normal_x, normal_y = (outer - dent_y) / length, dent_x / length
    return radius * torch.sin(angle) * normal_x + (radius * torch.cos(angle) - outer) * normal_y


def ring(x, y):
    return ((x * x + y * y).sqrt() - 0.85).abs() - 0.3


DISTANCES = {"circle": circle, "square": square, "triangle": triangle, "star": star, "ring": ring}


def coverage(shape, x, y, radius, angle, centre_x, centre_y, pixel):
    """(n, h, w) fraction of each pixel inside the shape; shape (n,) indexes SHAPES, lengths in canvas widths."""
    dx, dy = x - centre_x[:, None, None], y - centre_y[:, None, None]
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    scale = radius.clamp(min=1e-4)[:, None, None]
    u, v = (cosine * dx + sine * dy) / scale, (cosine * dy - sine * dx) / scale
    distance = torch.empty_like(u)
    for index in shape.unique().tolist():
        rows = shape == index
        distance[rows] = DISTANCES[SHAPES[index]](u[rows], v[rows])
    return (0.5 - distance * scale / pixel).clamp(0, 1)


def render(background, objects, size=64, window=None, origin=None):
    """Returns (n, 3, window, window) in [-1, 1].

    background (n, 3) in [-1, 1]; objects: list (painted in order) of dicts of (n,) tensors `shape`, `x`, `y`, `radius`,
    `angle` (radians, clockwise) and `colour` (n, 3). `size` is the canvas in pixels; a smaller `window` at `origin`
    (n, 2; pixels x, y) draws only a crop.
    """
    window = window or size
    centres = (torch.arange(window, dtype=torch.float32, device=background.device) + 0.5) / size
    count = background.shape[0]
    shift = torch.zeros(count, 2, device=background.device) if origin is None else origin / size
    x = (centres[None, :] + shift[:, :1])[:, None, :].expand(count, window, window)
    y = (centres[None, :] + shift[:, 1:])[:, :, None].expand(count, window, window)
    image = background[:, :, None, None].expand(count, 3, window, window)
    for thing in objects:
        alpha = coverage(thing["shape"], x, y, thing["radius"], thing["angle"], thing["x"], thing["y"], 1 / size)[:, None]
        image = torch.lerp(image, thing["colour"][:, :, None, None].expand_as(image), alpha)
    return image


def unit_colour(rgb):
    """8-bit RGB triples -> tensor in [-1, 1]."""
    return torch.tensor(rgb, dtype=torch.float32) / 127.5 - 1
