"""Small hub tokenizers of the two families open_clip's models use, made with the real library."""

import json
from collections.abc import Iterable
from typing import Any, Final

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789äéß漢字かな!?,.;:'\"-()&<>"
_PIECES: Final = ("re", "ed", "sofa", "so", "fa", "photo", "the", "of", "ing", "er", "red", "blue")


def word_piece(lower: bool = True) -> dict[str, bytes]:
    """Return the files of a tokenizer like BERT's: [CLS] words [SEP] [PAD]…"""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *_LETTERS, *_PIECES, *(f"##{piece}" for piece in (*_LETTERS, *_PIECES))]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(special)
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return _files(tokenizer, names, "bert")


def unigram() -> dict[str, bytes]:
    """Return the files of a tokenizer like T5's: pieces of sentences, </s>, <pad>…"""
    special = ["<pad>", "</s>", "<unk>"]
    pieces = [(token, 0.0) for token in special]
    pieces += [(f"▁{piece}", -2.0 - n / 7) for n, piece in enumerate(_PIECES)]
    pieces += [(piece, -4.0 - n / 7) for n, piece in enumerate(_PIECES)]
    pieces += [(letter, -8.0 - n / 50) for n, letter in enumerate(("▁", *_LETTERS))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(special)
    return _files(tokenizer, {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}, "t5")


def _files(tokenizer: Tokenizer, names: dict[str, str], model: str) -> dict[str, bytes]:
    settings: dict[str, Any] = {f"{kind}_token": token for kind, token in names.items()}
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    return {
        "tokenizer.json": tokenizer.to_str().encode(),
        "config.json": json.dumps({"model_type": model}).encode(),
        "tokenizer_config.json": json.dumps(settings).encode(),
    }


def texts() -> Iterable[str]:
    """Return texts these vocabularies know in part."""
    yield from (
        "",
        " ",
        "a",
        "a photo of the red sofa",
        "A PHOTO, of: the 'blue' sofa!?",
        "[SEP] </s>",
    )
    yield from (
        "rededer soing faing",
        "ÄÉß 漢字かな 한국어",
        "fish &amp; chips <b>",
        "snake_case-kebab",
    )
    yield from ("the [CLS] red <pad> sofa [MASK] </s>", "tab\tline\nfeed\x0b", "cafe\u0301 ﬁne ½")
    yield from (" ".join(["red sofa"] * count) for count in range(1, 50, 2))
    yield from ("z" * count for count in (50, 99, 101, 500))
