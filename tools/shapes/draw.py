"""Draw pictures of one coloured shape, the pictures that `captions` writes about."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tools.shapes.words import captions

__all__ = ["BACKGROUNDS", "COLOURS", "HELD_OUT", "SHAPES", "SIZES", "captions", "draw"]

Points = NDArray[np.float64]
Combination = tuple[str, str, str]


class Tint(NamedTuple):
    """How far a colour may vary: hue in degrees (low, high), saturation and value in 0..1."""

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]


_TINTS: Final[dict[str, Tint]] = {
    "red": Tint((-5, 5), (0.80, 0.95), (0.75, 0.95)),
    "orange": Tint((25, 31), (0.88, 1.00), (0.94, 1.00)),
    "yellow": Tint((52, 58), (0.80, 1.00), (0.92, 1.00)),
    "green": Tint((110, 140), (0.65, 0.95), (0.45, 0.75)),
    "cyan": Tint((179, 189), (0.70, 1.00), (0.80, 0.95)),
    "blue": Tint((218, 234), (0.75, 0.95), (0.70, 0.95)),
    "purple": Tint((268, 282), (0.65, 0.90), (0.45, 0.70)),
    "pink": Tint((327, 343), (0.35, 0.50), (0.94, 1.00)),
}
# Longest side of the unturned shape as a share of the picture's shorter side.
_SPANS: Final[dict[str, tuple[float, float]]] = {
    "small": (0.28, 0.34),
    "medium": (0.48, 0.57),
    "large": (0.74, 0.84),
}
# The largest turn, in degrees, after which the shape still goes by its name.
_TURNS: Final[dict[str, float]] = {
    "circle": 0,
    "square": 12,
    "triangle": 180,
    "star": 180,
    "cross": 14,
    "ring": 0,
    "heart": 25,
    "crescent": 180,
}
# Backgrounds are almost colourless, so that no background can be taken for a shape's colour.
_TONES: Final[dict[str, tuple[float, float]]] = {
    "white": (0.87, 1.00),
    "grey": (0.35, 0.68),
    "black": (0.00, 0.15),
}

COLOURS: Final = tuple(_TINTS)
SHAPES: Final = tuple(_TURNS)
SIZES: Final = tuple(_SPANS)
BACKGROUNDS: Final = tuple(_TONES)

# Three shapes of every colour, each in one size: every colour and every shape loses three
# combinations of 24, every size eight of 64, and no colour-shape pair loses more than one size.
HELD_OUT: Final[frozenset[Combination]] = frozenset(
    (colour, SHAPES[(3 * row + step) % len(SHAPES)], size)
    for row, colour in enumerate(COLOURS)
    for step, size in enumerate(SIZES)
)

_SUPERSAMPLE: Final = 4
_SIDES: Final = (64, 320)
_STRETCH: Final = 1.3


def _circle(radius: float = 1.0, x: float = 0.0) -> Points:
    """Give the outline of a circle around (x, 0): (96, 2)."""
    turn = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    return np.stack([x + radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def _spokes(radii: tuple[float, ...]) -> Points:
    """Give the polygon with corners at these distances, evenly turned from the top."""
    turn = np.arange(len(radii)) * 2 * math.pi / len(radii)
    return np.stack([np.sin(turn), -np.cos(turn)], axis=1) * np.array([radii], dtype=np.float64).T


def _outlines(shape: str) -> tuple[Points, Points | None]:
    """Give a shape's outline and the outline of what is cut from it, y growing downwards."""
    if shape == "circle":
        return _circle(), None
    if shape == "ring":
        return _circle(), _circle(0.58)
    if shape == "crescent":
        return _circle(), _circle(0.85, 0.48)
    if shape == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64), None
    if shape == "triangle":
        return _spokes((1.0, 1.0, 1.0)), None
    if shape == "star":
        return _spokes((1.0, 0.4) * 5), None
    if shape == "cross":
        a = 0.3
        right = [(a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1)]
        return np.array(right + [(-x, y) for x, y in reversed(right)], dtype=np.float64), None
    if shape == "heart":
        t = np.linspace(0, 2 * math.pi, 96, endpoint=False)
        y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        return np.stack([16 * np.sin(t) ** 3, -y - 2.5], axis=1), None
    raise ValueError(f"unknown shape {shape!r}")


def _mask(
    shape: str, span: float, sides: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Place the shape somewhere in the central square: (height, width, 1) coverage in 0..1."""
    outline, cut = _outlines(shape)
    scale = span / np.ptp(outline, axis=0).max()
    angle = math.radians(rng.uniform(-_TURNS[shape], _TURNS[shape]))
    turn = np.array([(math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))])
    outline = outline @ turn.T * scale
    low, high = outline.min(axis=0), outline.max(axis=0)
    width, height = sides
    square = min(sides)
    margin = (np.array(sides) - square) / 2
    centre = margin - low + rng.uniform(0, 1, 2) * np.maximum(square - (high - low), 0)

    corner = np.floor(centre + low).astype(int)
    extent = np.ceil(centre + high).astype(int) - corner
    tile = Image.new("L", (int(extent[0]) * _SUPERSAMPLE, int(extent[1]) * _SUPERSAMPLE))
    pen = ImageDraw.Draw(tile)

    def fill(points: Points, value: int) -> None:
        fine = (points + centre - corner) * _SUPERSAMPLE
        pen.polygon([(float(x), float(y)) for x, y in fine], fill=value)

    fill(outline, 255)
    if cut is not None:
        fill(cut @ turn.T * scale, 0)
    full = Image.new("L", (width, height))
    full.paste(tile.reduce(_SUPERSAMPLE), (int(corner[0]), int(corner[1])))
    return np.asarray(full, dtype=np.float32)[..., None] / np.float32(255)


def _backdrop(
    background: str, sides: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Fill the picture with one tone or a straight blend of two: (height, width, 3) in 0..1."""
    low, high = _TONES[background]
    first, second = rng.uniform(low, high, 2)[:, None] + rng.uniform(-0.02, 0.02, (2, 3))
    if rng.random() < 0.5:
        second = first
    width, height = sides
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    blend = (x * math.cos(angle) + y * math.sin(angle)) / (2 * math.sqrt(2)) + 0.5
    canvas: NDArray[np.float32] = (first + (second - first) * blend[..., None]).astype(np.float32)
    return canvas


def _paint(colour: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Pick one shade of a named colour: (3,) RGB in 0..1."""
    hue, saturation, value = (rng.uniform(*limits) for limits in _TINTS[colour])
    # Each channel falls off linearly with its distance, on the colour wheel, from its own hue.
    distance = np.abs((hue - np.array([0.0, 120.0, 240.0]) + 180) % 360 - 180)
    weight = np.clip(2 - distance / 60, 0, 1)
    shade: NDArray[np.float32] = (value * (1 - saturation * (1 - weight))).astype(np.float32)
    return shade


def draw(
    colour: str,
    shape: str,
    size: str,
    rng: np.random.Generator,
    pixels: int | tuple[int, int] | None = None,
    background: str | None = None,
) -> Image.Image:
    """Draw one shape on a near-colourless background; the same generator state, the same bytes.

    pixels: the side, or (width, height); None picks 64..320, the longer side up to 1.3 times the
    shorter. The shape lies wholly inside the central square. background: one of BACKGROUNDS, or
    None to pick one. Returns an RGB picture. Raises KeyError for a name outside the constants.
    """
    span_limits = _SPANS[size]
    if pixels is None:
        shorter = int(rng.integers(_SIDES[0], int(_SIDES[1] / _STRETCH) + 1))
        longer = int(shorter * rng.uniform(1, _STRETCH))
        sides = (shorter, longer) if rng.random() < 0.5 else (longer, shorter)
    else:
        sides = (pixels, pixels) if isinstance(pixels, int) else pixels
    if background is None:
        background = str(rng.choice(BACKGROUNDS))
    canvas = _backdrop(background, sides, rng)
    mask = _mask(shape, rng.uniform(*span_limits) * min(sides), sides, rng)
    canvas += (_paint(colour, rng) - canvas) * mask
    if rng.random() < 0.5:
        strength = np.float32(rng.uniform(0.005, 0.025))
        canvas += strength * rng.standard_normal(canvas.shape, dtype=np.float32)
    return Image.fromarray((canvas.clip(0, 1) * 255).round().astype(np.uint8))
