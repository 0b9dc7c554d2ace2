"""Say, in many ways and only truly, what a picture of one shape shows."""

from typing import Final, NamedTuple

import numpy as np


class Mention(NamedTuple):
    """Which of a picture's four attributes a caption speaks of."""

    colour: bool
    shape: bool
    size: bool
    background: bool


# Every word a name may be said with; repeating one makes it that much likelier.
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "purple": ("purple", "purple", "purple", "violet"),
    "cyan": ("cyan", "cyan", "cyan", "turquoise"),
    "small": ("small", "small", "small", "small", "little", "tiny"),
    "medium": ("medium", "medium", "medium", "medium", "medium-sized", "mid-sized"),
    "large": ("large", "large", "large", "large", "big", "huge"),
    "circle": ("circle", "circle", "circle", "circle", "disc"),
    "crescent": ("crescent", "crescent", "crescent", "crescent", "moon"),
    "cross": ("cross", "cross", "cross", "cross", "plus sign"),
    "grey": ("grey", "gray"),
}
_NOUNS: Final = ("shape", "shape", "thing", "object", "figure")
_PRONOUNS: Final = ("something", "something", "anything")
_ARTICLES: Final = ("a", "a", "a", "", "the", "one")
_PREFIXES: Final = (
    "",
    "",
    "",
    "",
    "",
    "",
    "a picture of ",
    "a photo of ",
    "an image of ",
    "a drawing of ",
    "this is ",
    "there is ",
)
# (colour, shape, size) of a caption and how often each is drawn.
_SUBSETS: Final = (
    ((True, True, True), 0.16),
    ((True, True, False), 0.24),
    ((False, True, True), 0.15),
    ((True, False, True), 0.10),
    ((True, False, False), 0.09),
    ((False, True, False), 0.18),
    ((False, False, True), 0.08),
)
_BACKGROUND_SHARE: Final = 0.15


def _say(name: str, rng: np.random.Generator) -> str:
    """Pick one of the words for a name."""
    words = _WORDS.get(name, (name,))
    return words[int(rng.integers(len(words)))]


def with_article(text: str, article: str = "a") -> str:
    """Put an article before the text, "an" where "a" would not be said."""
    if article == "a" and text[0] in "aeiou":
        article = "an"
    return f"{article} {text}" if article else text


def choose_mention(rng: np.random.Generator) -> Mention:
    """Draw which attributes a caption speaks of; at least one of colour, shape and size."""
    row = int(rng.choice(len(_SUBSETS), p=[share for _, share in _SUBSETS]))
    return Mention(*_SUBSETS[row][0], background=bool(rng.random() < _BACKGROUND_SHARE))


def phrase(
    rng: np.random.Generator,
    colour: str | None = None,
    shape: str | None = None,
    size: str | None = None,
    background: str | None = None,
) -> str:
    """Word a caption from what is given; None is left unsaid.

    Raises ValueError when colour, shape and size are all None.
    """
    adjectives = [_say(name, rng) for name in (size, colour) if name is not None]
    noun = None if shape is None else _say(shape, rng)
    if noun is None and not adjectives:
        raise ValueError("a caption needs a colour, a shape or a size")
    if len(adjectives) == 2 and rng.random() < 0.15:
        adjectives.reverse()
    form = rng.random()
    if noun is None and form < 0.3:
        text = f"{_PRONOUNS[int(rng.integers(len(_PRONOUNS)))]} {' and '.join(adjectives)}"
    elif noun is None and form < 0.5:
        text = " ".join(adjectives)
    else:
        noun = noun or _NOUNS[int(rng.integers(len(_NOUNS)))]
        article = _ARTICLES[int(rng.integers(len(_ARTICLES)))]
        if adjectives and form > 0.88:
            text = with_article(f"{noun} that is {' and '.join(adjectives)}", article)
        else:
            text = with_article(" ".join([*adjectives, noun]), article)
    text = _PREFIXES[int(rng.integers(len(_PREFIXES)))] + text
    if background is not None:
        text += f" on {with_article(_say(background, rng))} background"
    return text


def captions(
    colour: str,
    shape: str,
    size: str,
    rng: np.random.Generator,
    background: str | None = None,
) -> str:
    """Write one caption true of the picture, often leaving some of its attributes unsaid.

    The background is spoken of only when it is given, and then seldom.
    """
    mention = choose_mention(rng)
    return phrase(
        rng,
        colour if mention.colour else None,
        shape if mention.shape else None,
        size if mention.size else None,
        background if mention.background else None,
    )
