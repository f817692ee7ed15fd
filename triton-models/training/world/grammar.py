"""Scenes, their captions, and which of them training never sees."""

import zlib
from dataclasses import dataclass

from .vocabulary import (BACKGROUND_WORDS, BACKGROUNDS, COLOUR_WORDS, COLOURS, LANES_OF_MOTION, MOTION_WORDS, MOTIONS, MOVE_VERBS,
                         REVERSED, SHAPE_WORDS, SHAPES, SIZE_WORDS, SIZES, SPEED_WORDS)

# Euclidean distance of 8-bit RGB below which an object is hard to distinguish from its background.
LEAST_CONTRAST = 95
HELD_OUT_OF_100 = 10


@dataclass(frozen=True)
class Thing:
    size: str
    colour: str
    shape: str
    motion: str
    speed: str = ""


@dataclass(frozen=True)
class Scene:
    background: str
    things: tuple


@dataclass(frozen=True)
class World:
    """The distribution of scenes; `pairs` is the share of scenes with two things."""

    shapes: tuple = SHAPES
    motions: tuple = MOTIONS
    colours: tuple = tuple(COLOURS)
    backgrounds: tuple = tuple(BACKGROUNDS)
    sizes: tuple = tuple(SIZES)
    speeds: tuple = ("", "", "slow", "fast")
    pairs: float = 0.3


WORLDS = {
    "full": World(),
    "nano": World(speeds=("",), pairs=0.25),
    "small": World(shapes=("circle", "square", "triangle"), motions=MOTIONS[:7], speeds=("",), pairs=0.0),
}


def contrast(colour, background):
    return sum((a - b) ** 2 for a, b in zip(COLOURS[colour], BACKGROUNDS[background])) ** 0.5


def possible(thing, background):
    spinning_round = thing.motion == "spinning" and thing.shape in ("circle", "ring")
    return contrast(thing.colour, background) >= LEAST_CONTRAST and not spinning_round


def possible_pair(first, second):
    """Whether two things can be distinguished and keep to lanes side by side, where neither hides the other."""
    alike = (first.colour, first.shape) == (second.colour, second.shape)
    axes = {LANES_OF_MOTION[thing.motion] for thing in (first, second)}
    return not alike and None not in axes and not axes.issuperset(("rows", "columns"))


def possible_scene(scene):
    return all(possible(thing, scene.background) for thing in scene.things) and (
        len(scene.things) == 1 or possible_pair(*scene.things))


def held_out(scene):
    """Whether training never sees this combination of colour, shape, motion (either way in time) and background."""
    for thing in scene.things:
        motion = min(thing.motion, REVERSED.get(thing.motion, thing.motion))
        key = f"{thing.colour} {thing.shape} {motion} {scene.background}"
        if zlib.crc32(key.encode()) % 100 < HELD_OUT_OF_100:
            return True
    return False


def random_scene(world, random, unseen=False):
    """Draws with `random` (a random.Random) a scene of the training part, or with `unseen` of the held-out part."""
    count = 2 if random.random() < world.pairs else 1
    while True:
        background = random.choice(world.backgrounds)
        things = tuple(
            Thing(random.choice(world.sizes), random.choice(world.colours), random.choice(world.shapes),
                  random.choice(world.motions), random.choice(world.speeds))
            for _ in range(count)
        )
        scene = Scene(background, things)
        if possible_scene(scene) and held_out(scene) == unseen:
            return scene


def reverse_scene(scene):
    """The scene of the clip played backwards, or None if no words describe it."""
    if any(thing.motion not in REVERSED for thing in scene.things):
        return None
    return Scene(scene.background, tuple(
        Thing(t.size, t.colour, t.shape, REVERSED[t.motion], t.speed) for t in scene.things))


def article(words):
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def describe_motion(thing, random, plain):
    if plain:
        phrase = MOTION_WORDS[thing.motion][0].format(moves="moving")
    else:
        # The plain wording as often as all others together.
        choices = MOTION_WORDS[thing.motion]
        phrase = choices[0] if random.random() < 0.5 else random.choice(choices)
        phrase = phrase.format(moves="moving" if random.random() < 0.4 else random.choice(MOVE_VERBS))
    if SPEED_WORDS[thing.speed]:
        phrase += " " + (SPEED_WORDS[thing.speed][0] if plain else random.choice(SPEED_WORDS[thing.speed]))
    return phrase


def describe_thing(thing, random, plain):
    if plain:
        return article(f"{thing.size} {thing.colour} {thing.shape}")
    shape = thing.shape if random.random() < 0.6 else random.choice(SHAPE_WORDS[thing.shape])
    words = [random.choice(COLOUR_WORDS[thing.colour]), shape]
    if random.random() < 0.85:
        size = thing.size if random.random() < 0.6 else random.choice(SIZE_WORDS[thing.size])
        words.insert(0 if random.random() < 0.95 else 1, size)
    noun = " ".join(words)
    return random.choice([article(noun)] * 7 + [f"the {noun}", f"one {noun}", noun])


BACKGROUND_PHRASES = (
    ("on {a} background",) * 6
    + ("on {bare}", "in front of {a} background", "against {a} background", "over {a} background", "with {a} background",
       "on {a} canvas", "in front of {a} wall", "and the background is {bare}")
)
OPENINGS = ("a video of", "video of", "an animation of", "a clip of", "animation showing", "there is")


def caption(scene, random, plain=False):
    """A sentence for the scene; `plain` is the wording the documentation uses."""
    parts = [(describe_thing(t, random, plain), describe_motion(t, random, plain)) for t in scene.things]
    name = scene.background if plain else random.choice(BACKGROUND_WORDS[scene.background])
    phrase = BACKGROUND_PHRASES[0] if plain else random.choice(BACKGROUND_PHRASES)
    background = phrase.format(a=article(name), bare=name)
    acts = " and ".join(f"{who} {does}" for who, does in parts)
    if plain:
        return f"{acts} {background}"
    if random.random() < 0.06:
        sentence = acts
    else:
        order = random.random()
        if order < 0.72 or (order >= 0.86 and len(parts) > 1):
            sentence = f"{acts} {background}"
        elif order < 0.86 and not background.startswith("and"):
            sentence = f"{background} {acts}"
        else:
            sentence = f"{parts[0][0]} {background} {parts[0][1]}"
    return f"{random.choice(OPENINGS)} {sentence}" if random.random() < 0.1 else sentence


def all_words():
    """Every word that a caption can have, sorted."""
    words = {"a", "an", "the", "one", "and", ",", "."}
    templates = [*BACKGROUND_PHRASES, *OPENINGS, *MOVE_VERBS]
    for table in (SIZE_WORDS, SHAPE_WORDS, COLOUR_WORDS, BACKGROUND_WORDS, MOTION_WORDS, SPEED_WORDS):
        for alternatives in table.values():
            templates += alternatives
    for template in templates:
        words.update(w for w in template.replace("{a}", "").replace("{bare}", "").replace("{moves}", "").split())
    return sorted(words)
