"""Measure a shapes model, loaded through open_clip, on pictures it has never seen.

Run as `python -m tools.shapes.evaluate models/shapes-tiny`.
"""

import argparse
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from handler.torchvision_ops import ensure_torchvision
from tools.shapes.draw import COLOURS, HELD_OUT, SHAPES, SIZES, Combination, draw
from tools.shapes.words import with_article

ensure_torchvision()
import open_clip  # noqa: E402  (it imports torchvision, which the line above makes importable)

SEED: Final = 20_260_101
PER_COMBINATION: Final = 20
_BATCH: Final = 128

COMBINATIONS: Final[tuple[Combination, ...]] = tuple(
    (colour, shape, size) for colour in COLOURS for shape in SHAPES for size in SIZES
)


class Accuracy(NamedTuple):
    """Shares in 0..1 of pictures named rightly, and how many pictures that is."""

    pictures: int
    exact: float
    colour: float
    shape: float
    size: float


class Report(NamedTuple):
    """What one evaluation found; every row is a share in 0..1."""

    seen: Accuracy
    held_out: Accuracy
    # One attribute alone ("a red shape", "a star", "a small shape") against its rivals.
    alone_seen: dict[str, float]
    alone_held_out: dict[str, float]
    # "a red star" ranks every picture: the share of red stars that come among the first n, where
    # n is how many red stars there are.
    pairs_seen: float
    pairs_held_out: float
    # Share of the 64 colour-shape prompts whose first ten pictures are all right.
    clean_top_ten: float


class Encoded(NamedTuple):
    """Pictures of every combination: unit features (n, d) and row numbers in COMBINATIONS (n,)."""

    features: torch.Tensor
    rows: torch.Tensor


def load(directory: Path) -> tuple[Any, Any, Any]:
    """Load (model, preprocess, tokenizer) from a local directory, as any open_clip model."""
    name = f"local-dir:{directory}"
    model, preprocess = open_clip.create_model_from_pretrained(name)
    return model.eval(), preprocess, open_clip.get_tokenizer(name)


@torch.inference_mode()
def encode_texts(model: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """Turn texts into unit features: (len(texts), d)."""
    features: torch.Tensor = model.encode_text(tokenizer(texts), normalize=True)
    return features


@torch.inference_mode()
def encode_pictures(model: Any, preprocess: Any, each: int, seed: int) -> Encoded:
    """Draw `each` pictures of every combination and turn them into features."""
    rng = np.random.default_rng(seed)
    rows = [row for row in range(len(COMBINATIONS)) for _ in range(each)]
    parts = []
    for start in range(0, len(rows), _BATCH):
        pictures = [draw(*COMBINATIONS[row], rng) for row in rows[start : start + _BATCH]]
        batch = torch.stack([preprocess(picture) for picture in pictures])
        parts.append(model.encode_image(batch, normalize=True))
    return Encoded(torch.cat(parts), torch.tensor(rows))


def _share(hits: torch.Tensor) -> float:
    """Give the share of true entries."""
    return float(hits.double().mean())


def measure(directory: Path, each: int = PER_COMBINATION, seed: int = SEED) -> Report:
    """Evaluate the model in a directory on 192 times `each` new pictures."""
    model, preprocess, tokenizer = load(directory)
    pictures = encode_pictures(model, preprocess, each, seed)
    held_out = torch.tensor([c in HELD_OUT for c in COMBINATIONS])[pictures.rows]
    groups = (~held_out, held_out)

    # attributes[row] = the numbers of that combination's colour, shape and size.
    names = (COLOURS, SHAPES, SIZES)
    attributes = torch.tensor(
        [[names[k].index(c[k]) for k in range(3)] for c in COMBINATIONS], dtype=torch.long
    )
    truth = attributes[pictures.rows]

    full = encode_texts(model, tokenizer, [f"a {z} {c} {s}" for c, s, z in COMBINATIONS])
    guess = attributes[(pictures.features @ full.T).argmax(dim=1)]
    right = guess == truth
    accuracies = [
        Accuracy(
            int(group.sum()),
            _share(right[group].all(dim=1)),
            *(_share(right[group, k]) for k in range(3)),
        )
        for group in groups
    ]

    alone: list[dict[str, float]] = [{}, {}]
    prompts = {
        "colour": [with_article(f"{c} shape") for c in COLOURS],
        "shape": [with_article(s) for s in SHAPES],
        "size": [with_article(f"{z} shape") for z in SIZES],
    }
    for k, (attribute, texts) in enumerate(prompts.items()):
        scores = pictures.features @ encode_texts(model, tokenizer, texts).T
        hits = scores.argmax(dim=1) == truth[:, k]
        for found, group in zip(alone, groups, strict=True):
            found[attribute] = _share(hits[group])

    pairs = [(c, s) for c in range(len(COLOURS)) for s in range(len(SHAPES))]
    texts = [with_article(f"{COLOURS[c]} {SHAPES[s]}") for c, s in pairs]
    order = (encode_texts(model, tokenizer, texts) @ pictures.features.T).argsort(
        dim=1, descending=True
    )
    found_first = torch.zeros(len(truth), dtype=torch.bool)
    clean = []
    for (c, s), ranked in zip(pairs, order, strict=True):
        hits = (truth[ranked, 0] == c) & (truth[ranked, 1] == s)
        count = int(hits.sum())
        found_first[ranked[:count][hits[:count]]] = True
        clean.append(bool(hits[:10].all()))
    return Report(
        seen=accuracies[0],
        held_out=accuracies[1],
        alone_seen=alone[0],
        alone_held_out=alone[1],
        pairs_seen=_share(found_first[groups[0]]),
        pairs_held_out=_share(found_first[groups[1]]),
        clean_top_ten=sum(clean) / len(clean),
    )


def show(report: Report, console: Console) -> None:
    """Print the tables."""
    table = Table(title="Full descriptions: the best of 192 prompts")
    for heading in ("pictures of", "count", "all three", "colour", "shape", "size"):
        table.add_column(heading, justify="left" if heading == "pictures of" else "right")
    for label, row in (("seen combinations", report.seen), ("held-out ones", report.held_out)):
        table.add_row(label, str(row.pictures), *(f"{100 * share:.2f} %" for share in row[1:]))
    console.print(table)

    table = Table(title="Partial descriptions")
    for heading in ("prompt", "seen", "held out"):
        table.add_column(heading, justify="left" if heading == "prompt" else "right")
    for attribute in report.alone_seen:
        found = (report.alone_seen[attribute], report.alone_held_out[attribute])
        table.add_row(f"{attribute} alone", *(f"{100 * share:.2f} %" for share in found))
    found = (report.pairs_seen, report.pairs_held_out)
    table.add_row("colour and shape, ranking", *(f"{100 * share:.2f} %" for share in found))
    console.print(table)
    console.print(
        f"Colour-shape prompts with ten right pictures first: {100 * report.clean_top_ten:.2f} %"
    )


def main() -> None:
    """Evaluate the model named on the command line and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--each", type=int, default=PER_COMBINATION, help="pictures a combination")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    show(measure(arguments.directory, arguments.each, arguments.seed), Console())


if __name__ == "__main__":
    main()
