"""Hold a training set in memory: pictures as open_clip would cut them, and tokenised captions."""

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from handler.torchvision_ops import ensure_torchvision
from tools.shapes.draw import BACKGROUNDS, COLOURS, HELD_OUT, SHAPES, SIZES, draw
from tools.shapes.words import Mention, choose_mention, phrase

ensure_torchvision()
import open_clip  # noqa: E402  (it imports torchvision, which the line above makes importable)
from open_clip.transform import PreprocessCfg, image_transform_v2  # noqa: E402

_NAMES: Final = (COLOURS, SHAPES, SIZES, BACKGROUNDS)
_FULL: Final = Mention(colour=True, shape=True, size=True, background=False)
_CAPTIONS_EACH: Final = 4
# Unknown words enter some captions, so that a query's stray words do not move its features much.
_STRAY_SHARE: Final = 0.15
_STRAY_MEAN: Final = 2.0
_CONTEXT: Final = 24


class Captions(NamedTuple):
    """Captions of n pictures, k each: tokens (n, k, context), and what they say (n, k, 4).

    What they say is numbers into (COLOURS, SHAPES, SIZES, BACKGROUNDS), -1 where unsaid.
    """

    tokens: torch.Tensor
    attributes: torch.Tensor


class Collection(NamedTuple):
    """A training set of n pictures.

    pictures: uint8 (n, 3, side, side). attributes: (n, 4), numbers as in Captions.
    vocabulary: the tokenizer's numbers of the words that occur, ascending, after a 0 that stands
    for all others; tokens count into it. context: tokens a caption.
    """

    pictures: torch.Tensor
    attributes: torch.Tensor
    full: Captions
    partial: Captions
    vocabulary: list[int]
    context: int


def _crop(config: dict[str, Any]) -> Any:
    """Give open_clip's own resize, crop and conversion, without the scaling to floats."""
    side = config["model_cfg"]["vision_cfg"]["image_size"]
    steps = image_transform_v2(
        PreprocessCfg(size=side, **config["preprocess_cfg"]), is_train=False
    ).transforms[:-2]

    def apply(picture: Image.Image) -> NDArray[np.uint8]:
        for step in steps:
            picture = step(picture)
        return np.asarray(picture)

    return apply


def _with_strays(tokens: list[int], rng: np.random.Generator) -> list[int]:
    """Put a few unknown words (0) between the start and the end of some captions."""
    if rng.random() >= _STRAY_SHARE:
        return tokens
    tokens = list(tokens)
    room = _CONTEXT - len(tokens)
    for _ in range(min(1 + int(rng.poisson(_STRAY_MEAN)), room)):
        tokens.insert(int(rng.integers(1, len(tokens))), 0)
    return tokens


class _Scribe:
    """Writes captions and remembers the tokens of those it has written before."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._tokenizer = open_clip.get_tokenizer("ViT-B-32")
        self._known: dict[str, list[int]] = {}

    def write(self, shown: list[int], mention: Mention) -> tuple[list[int], list[int]]:
        """Word one caption: its tokens without padding, and the attributes it speaks of."""
        said = [number if told else -1 for number, told in zip(shown, mention, strict=True)]
        names = [_NAMES[k][number] if number >= 0 else None for k, number in enumerate(said)]
        text = phrase(self._rng, *names)
        if text not in self._known:
            row: list[int] = self._tokenizer([text])[0].tolist()
            self._known[text] = row[: row.index(max(row)) + 1]
        return _with_strays(self._known[text], self._rng), said


def collect(config: dict[str, Any], each: int, seed: int) -> Collection:
    """Draw `each` pictures of every combination not held out, and caption them."""
    rng = np.random.default_rng([seed, 1])
    scribe = _Scribe(rng)
    crop = _crop(config)
    pictures, attributes = [], []
    written: tuple[list[tuple[list[int], list[int]]], ...] = ([], [])
    for colour, shape, size in (
        (c, s, z) for c in COLOURS for s in SHAPES for z in SIZES if (c, s, z) not in HELD_OUT
    ):
        for turn in range(each):
            background = BACKGROUNDS[turn % len(BACKGROUNDS)]
            pictures.append(crop(draw(colour, shape, size, rng, background=background)))
            names = (colour, shape, size, background)
            shown = [_NAMES[k].index(name) for k, name in enumerate(names)]
            attributes.append(shown)
            for _ in range(_CAPTIONS_EACH):
                written[0].append(scribe.write(shown, _FULL))
                written[1].append(scribe.write(shown, choose_mention(rng)))

    occurring = {token for part in written for tokens, _ in part for token in tokens}
    vocabulary = [0, *sorted(occurring - {0})]
    # The end token has the tokenizer's highest number and keeps the highest here, which is how
    # the text tower finds the end of a text.
    compact = {token: number for number, token in enumerate(vocabulary)}

    def pack(part: list[tuple[list[int], list[int]]]) -> Captions:
        tokens = np.zeros((len(part), _CONTEXT), dtype=np.int16)
        for row, (words, _) in zip(tokens, part, strict=True):
            row[: len(words)] = [compact[word] for word in words]
        said = np.array([said for _, said in part], dtype=np.int64)
        return Captions(
            torch.from_numpy(tokens).view(len(pictures), _CAPTIONS_EACH, _CONTEXT),
            torch.from_numpy(said).view(len(pictures), _CAPTIONS_EACH, len(_NAMES)),
        )

    return Collection(
        pictures=torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
        attributes=torch.tensor(attributes),
        full=pack(written[0]),
        partial=pack(written[1]),
        vocabulary=vocabulary,
        context=_CONTEXT,
    )
