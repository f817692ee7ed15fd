"""python3 -m training.world_cases (from triton-models/)

Writes the world for those who do not speak Python: weights/nano/world.json, which `fusionframes evaluate` reads, and in
test/fixtures/world/ what the TypeScript side is held to: the full world, scenes of it with the random numbers that their
paths took, some of their frames (one row of a PNG a scene), captions, and which scenes are held out.
"""

import json
import os
import random

import torch

from .png import save_png
from .settings import GPU
from .world import clips, grammar
from .world.clips import FRAMES, clip_paths, render_clips
from .world.grammar import WORLDS, World, caption, held_out, random_scene
from .world.vocabulary import BACKGROUNDS, COLOURS, MOTION_WORDS, MOTIONS, REVERSED, SIZES, SPEED_WORDS, SPEEDS

SIZE = 64
CHOSEN = (0, 11, 33, 56)
TRAINING = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIXTURES = os.path.join(TRAINING, "..", "test", "fixtures", "world")


def speed_word(speed):
    return (*SPEED_WORDS[speed], "")[0]


def describe_motion(name):
    about = {"words": MOTION_WORDS[name][0].format(moves="moving")}
    if name in REVERSED:
        about["reversed"] = REVERSED[name]
    if name in clips.DIRECTIONS:
        about["direction"] = clips.DIRECTIONS[name]
    if name in ("growing", "shrinking"):
        about["growth"] = clips.GROWTH if name == "growing" else clips.GROWTH[::-1]
    return about | {"bouncing": {"bounce": {"hops": 3, "height": 0.5}}, "spinning": {"turns": clips.TURNS}, "circling": {"orbit": 0.24}}.get(name, {})


def describe_world(world):
    return {
        "colours": {name: COLOURS[name] for name in world.colours},
        "backgrounds": {name: BACKGROUNDS[name] for name in world.backgrounds},
        "minContrast": grammar.LEAST_CONTRAST,
        "sizes": {name: SIZES[name] for name in world.sizes},
        "shapes": world.shapes,
        "roundShapes": ("circle", "ring"),
        "motions": {name: describe_motion(name) for name in world.motions},
        "speeds": {speed_word(speed): SPEEDS[speed] for speed in world.speeds},
        "places": clips.PLACES,
        "pairs": {"share": world.pairs, "scale": clips.PAIR_SCALE, "lanes": clips.LANES, "stops": clips.STOPS},
        "heldOutOf100": grammar.HELD_OUT_OF_100,
    }


def write_world(world, path):
    """JSON with one entry a line."""
    lines = []
    for name, value in describe_world(world).items():
        text = json.dumps(value)
        if name in ("colours", "backgrounds", "motions"):
            text = "{\n" + ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n  }"
        lines.append(f"  {json.dumps(name)}: {text}")
    with open(path, "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


class Recorded(random.Random):
    """Records the numbers in [0, 1) that it returned."""

    def __init__(self, seed):
        self.given = []
        super().__init__(seed)

    def random(self):
        self.given.append(super().random())
        return self.given[-1]

    def choice(self, choices):
        return choices[int(self.random() * len(choices))]


def as_json(scene):
    things = [{**vars(thing), "speed": speed_word(thing.speed)} for thing in scene.things]
    return {"background": scene.background, "things": things}


def write_cases():
    source, drawn, rows = random.Random(5), [], []
    for motion in MOTIONS * 2:
        while True:
            scene = random_scene(World(pairs=0.4), source)
            if scene.things[0].motion == motion:
                break
        numbers = Recorded(len(rows))
        paths = clip_paths(scene, torch.tensor(CHOSEN) / (FRAMES - 1), numbers)
        frames = render_clips([scene], [paths], SIZE)[0]
        rows.append(((frames + 1) * 127.5).round().byte().permute(2, 0, 3, 1).reshape(SIZE, len(CHOSEN) * SIZE, 3))
        drawn.append({"scene": as_json(scene), "random": numbers.given})
    save_png(torch.cat(rows), os.path.join(FIXTURES, "frames.png"))
    scenes = [random_scene(World(pairs=0.3), source, unseen=i % 2 == 0) for i in range(200)]
    told = [{"scene": as_json(s), "heldOut": held_out(s), "caption": caption(s, source, plain=True)} for s in scenes]
    with open(os.path.join(FIXTURES, "cases.json"), "w") as file:
        json.dump({"size": SIZE, "clipFrames": FRAMES, "frames": CHOSEN, "drawn": drawn, "told": told}, file, separators=(",", ":"))


if __name__ == "__main__":
    os.makedirs(FIXTURES, exist_ok=True)
    write_world(WORLDS[GPU["world"]], os.path.join(TRAINING, "weights", "nano", "world.json"))
    write_world(World(), os.path.join(FIXTURES, "full.json"))
    write_cases()
