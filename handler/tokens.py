"""list[str] → int64 (n, context_length), the ids open_clip gives; no torch.

The byte-pair encoder is our own rather than the `tokenizers` library's: the pre-tokenising pattern
then runs in the same `regex` engine as open_clip's (case folding and Unicode tables included),
and it loads in a few milliseconds instead of parsing 100,000 strings at every cold start.
"""

import heapq
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
import regex
from numpy.typing import NDArray

from handler.bundle import Bundle
from handler.cleaning import cleaner
from handler.errors import SetupError

_CACHED_WORDS = 65_536
_PATTERN = r"|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Encoded(NamedTuple):
    """Token ids int64 (n, context_length); per text, whether it was cut and how many ids it has.

    The count is of what the model reads: start and end included, padding and what was cut off not.
    """

    tokens: NDArray[np.int64]
    truncated: list[bool]
    counts: list[int]


class Tokenizer(Protocol):
    """Texts to token ids."""

    def __call__(self, texts: list[str]) -> Encoded:
        """Encode texts, each padded or cut to the context length."""


def load_tokenizer(bundle: Bundle) -> Tokenizer:
    """Return the tokenizer a bundle was baked with."""
    spec = bundle.manifest.tokenizer
    match spec.kind:
        case "bpe":
            return BytePairTokenizer(bundle.file("bpe.npz"), spec.context_length, spec.clean)
        case "tokenizers":
            path = bundle.file("tokenizer.json")
            return HubTokenizer(path, spec.context_length, spec.clean, spec.strip_id)
        case "open_clip":
            from handler.engines.torch_engine import OpenClipTokenizer

            return OpenClipTokenizer(bundle)


class BytePairTokenizer:
    """CLIP's byte-pair encoding over token ids, equal to open_clip's `SimpleTokenizer`.

    Ids: 0–255 a byte, 256–511 a byte that ends a word, then one per merge, then the special
    tokens. The file holds `bytes` int64 (256,), the id of each byte value; `merges` int64 (m, 2),
    in rank order; `special`, the special tokens' spellings, start and end of text first.
    """

    def __init__(self, path: Path, context_length: int, clean: str) -> None:
        with np.load(path) as data:
            self._byte_ids: Final[list[int]] = data["bytes"].tolist()
            merges = data["merges"]
            special = [str(token) for token in data["special"]]
        self._first_merge: Final = 512
        pairs = (merges[:, 0] << 32) | merges[:, 1]
        self._ranks: Final[dict[int, int]] = dict(
            zip(pairs.tolist(), range(len(pairs)), strict=True)
        )
        first_special = self._first_merge + len(pairs)
        self._special: Final = {token: first_special + i for i, token in enumerate(special)}
        self._start, self._end = first_special, first_special + 1
        self._split: Final = regex.compile("|".join(special) + _PATTERN, regex.IGNORECASE)
        self._context_length: Final = context_length
        self._clean: Final = cleaner(clean)
        self._words: dict[str, list[int]] = {}

    def __call__(self, texts: list[str]) -> Encoded:
        """Encode texts; a longer text keeps its first ids and ends in end-of-text."""
        length = self._context_length
        tokens = np.zeros((len(texts), length), np.int64)
        truncated, counts = [], []
        for row, text in zip(tokens, texts, strict=True):
            ids = self._encode(self._clean(text), length)
            truncated.append(len(ids) > length)
            ids = ids[:length]
            ids[-1] = self._end
            row[: len(ids)] = ids
            counts.append(len(ids))
        return Encoded(tokens, truncated, counts)

    def _encode(self, text: str, enough: int) -> list[int]:
        """Return the ids with start and end, or the first of more than `enough`."""
        ids = [self._start]
        for match in self._split.finditer(text):
            ids += self._word(match.group())
            if len(ids) > enough:  # the rest would be cut off anyway
                return ids
        ids.append(self._end)
        return ids

    def _word(self, word: str) -> list[int]:
        found = self._words.get(word)
        if found is None:
            special = self._special.get(word)
            found = self._merge(word) if special is None else [special]
            if len(self._words) >= _CACHED_WORDS:
                self._words.clear()
            self._words[word] = found
        return found

    def _merge(self, word: str) -> list[int]:
        """Merge pairs in rank order, leftmost first, in O(n log n): words may be thousands long."""
        ids = [self._byte_ids[byte] for byte in word.encode()]
        ids[-1] += 256
        after = [*range(1, len(ids)), -1]
        before = [-1, *range(len(ids) - 1)]
        ranks = self._ranks
        queue = [
            (rank, at)
            for at in range(len(ids) - 1)
            if (rank := ranks.get(ids[at] << 32 | ids[at + 1])) is not None
        ]
        heapq.heapify(queue)
        while queue:
            rank, at = heapq.heappop(queue)
            right = after[at]
            if ids[at] < 0 or right < 0 or ranks.get(ids[at] << 32 | ids[right]) != rank:
                continue  # one side has been merged into something else since
            ids[at], ids[right] = self._first_merge + rank, -1
            after[at] = after[right]
            if after[right] >= 0:
                before[after[right]] = at
            for left, to in ((before[at], at), (at, after[at])):
                if left >= 0 and to >= 0:
                    new = ranks.get(ids[left] << 32 | ids[to])
                    if new is not None:
                        heapq.heappush(queue, (new, left))
        return [i for i in ids if i >= 0]


class HubTokenizer:
    """A hub model's tokenizer.json, with the truncation and padding open_clip uses baked in."""

    def __init__(self, path: Path, context_length: int, clean: str, strip_id: int | None) -> None:
        try:
            from tokenizers import Tokenizer as Library
        except ImportError:
            raise SetupError(
                "this model's tokenizer needs the `tokenizers` library: "
                'pip install "openclip-serverless[hub]"'
            ) from None
        self._library: Final = Library.from_file(str(path))
        self._clean: Final = cleaner(clean)
        self._strip_id: Final = strip_id
        self._context_length: Final = context_length

    def __call__(self, texts: list[str]) -> Encoded:
        """Encode texts as the library does, then open_clip's own replacement of separators."""
        encoded = self._library.encode_batch([self._clean(text) for text in texts])
        tokens = np.array([e.ids for e in encoded], np.int64).reshape(-1, self._context_length)
        if self._strip_id is not None:
            tokens[tokens == self._strip_id] = 0
        counts = [sum(e.attention_mask) for e in encoded]
        return Encoded(tokens, [bool(e.overflowing) for e in encoded], counts)
