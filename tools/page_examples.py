"""Draw the page's example pictures: python -m tools.page_examples."""

import numpy as np

from handler.page import FOLDER
from tools.shapes.draw import draw

EXAMPLES = [
    ("red", "circle", "large", "white"),
    ("blue", "square", "small", "white"),
    ("green", "star", "large", "grey"),
    ("yellow", "triangle", "medium", "black"),
    ("purple", "heart", "large", "white"),
]


def main() -> None:
    """Write them; the same bytes every time."""
    rng = np.random.default_rng(305)
    for colour, shape, size, background in EXAMPLES:
        picture = draw(colour, shape, size, rng, 160, background)
        picture.save(FOLDER / "examples" / f"{colour}-{shape}.png", optimize=True)


if __name__ == "__main__":
    main()
