"""The world: its colours, shapes, sizes, backgrounds and motions, and the words for them."""

COLOURS = {
    "red": (226, 44, 44),
    "green": (44, 176, 64),
    "blue": (48, 92, 236),
    "yellow": (246, 216, 48),
    "orange": (248, 138, 28),
    "purple": (146, 56, 200),
    "pink": (250, 128, 188),
    "white": (250, 250, 250),
}

BACKGROUNDS = {
    "black": (12, 12, 14),
    "white": (250, 250, 250),
    "gray": (128, 128, 128),
    "navy": (20, 30, 84),
    "brown": (100, 64, 36),
    "teal": (20, 112, 112),
    "beige": (228, 210, 174),
    "lavender": (196, 184, 236),
}

# Radius as a fraction of the canvas; shapes are drawn to look equally large at equal radius.
SIZES = {"small": 0.125, "large": 0.23}

SHAPES = ("circle", "square", "triangle", "star", "ring")

MOTIONS = (
    "left", "right", "up", "down", "growing", "shrinking", "still",
    "up-left", "up-right", "down-left", "down-right", "bouncing", "spinning", "circling",
)

# Exact time reversal turns one motion into another.
REVERSED = {
    "left": "right", "right": "left", "up": "down", "down": "up", "growing": "shrinking", "shrinking": "growing",
    "still": "still", "up-left": "down-right", "down-right": "up-left", "up-right": "down-left",
    "down-left": "up-right", "bouncing": "bouncing",
}

# The lanes that each of two things can keep to: rows below each other, columns side by side, either, or (None) neither.
LANES_OF_MOTION = {
    "left": "rows", "right": "rows", "up": "columns", "down": "columns", "bouncing": "columns",
    "growing": "either", "shrinking": "either", "still": "either", "spinning": "either",
    "up-left": None, "up-right": None, "down-left": None, "down-right": None, "circling": None,
}

# Travelled part of the way from one side of the canvas to the other.
SPEEDS = {"slow": 0.5, "": 1.0, "fast": 1.0}

SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}

SHAPE_WORDS = {
    "circle": ("circle", "ball", "disc", "dot"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring", "donut", "hoop"),
}

COLOUR_WORDS = {name: (name,) for name in COLOURS} | {"purple": ("purple", "violet")}

BACKGROUND_WORDS = {name: (name,) for name in BACKGROUNDS} | {
    "gray": ("gray", "grey"), "navy": ("navy", "dark blue"), "lavender": ("lavender", "light purple"),
}

# {moves} takes one of MOVE_VERBS; the first phrase of each motion is the plain one.
MOVE_VERBS = ("moving", "going", "sliding", "drifting", "flying", "travelling", "moves", "goes", "slides", "drifts", "flies")

MOTION_WORDS = {
    "left": ("{moves} left", "{moves} to the left", "{moves} leftwards", "{moves} from right to left"),
    "right": ("{moves} right", "{moves} to the right", "{moves} rightwards", "{moves} from left to right"),
    "up": ("{moves} up", "{moves} upwards", "rising", "rises", "{moves} to the top", "{moves} from bottom to top", "climbing"),
    "down": ("{moves} down", "{moves} downwards", "falling", "falls", "{moves} to the bottom", "{moves} from top to bottom", "sinking"),
    "growing": ("growing", "grows", "getting bigger", "getting larger", "expanding", "becoming bigger"),
    "shrinking": ("shrinking", "shrinks", "getting smaller", "becoming smaller", "contracting"),
    "still": ("standing still", "not moving", "staying still", "resting", "that does not move", "motionless"),
    "up-left": ("{moves} up and left", "{moves} up and to the left", "{moves} diagonally up left"),
    "up-right": ("{moves} up and right", "{moves} up and to the right", "{moves} diagonally up right"),
    "down-left": ("{moves} down and left", "{moves} down and to the left", "{moves} diagonally down left"),
    "down-right": ("{moves} down and right", "{moves} down and to the right", "{moves} diagonally down right"),
    "bouncing": ("bouncing", "bounces", "bouncing up and down", "jumping", "jumps"),
    "spinning": ("spinning", "spins", "rotating", "rotates", "turning around"),
    "circling": ("circling", "circles around", "moving in a circle", "orbiting"),
}

SPEED_WORDS = {"slow": ("slowly",), "": (), "fast": ("quickly", "fast", "rapidly")}
