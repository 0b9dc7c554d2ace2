"""Token ids against open_clip's own tokenizer: equal, on every string of an ugly corpus."""

import html
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import pytest
from corpus_text import corpus, long_word
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.bake.checkpoint import Checkpoint, open_clip
from handler.bake.tokenizer import write_tokenizer
from handler.cleaning import _PLAIN, _fix, cleaner
from handler.errors import SetupError
from handler.tokens import BytePairTokenizer

LENGTH = 77
KINDS = ("lower", "whitespace", "canonicalize")
TEXTS = corpus()


@pytest.fixture(scope="module")
def reference() -> Any:
    return open_clip.get_tokenizer("ViT-B-32")


def written(reference: Any, clean: str, folder: Path) -> BytePairTokenizer:
    """Return our tokenizer, from the file a bake of a model with this cleaning writes."""
    options = {} if clean == "lower" else {"tokenizer_kwargs": {"clean": clean}}
    checkpoint = Checkpoint(None, None, {"text_cfg": options}, "", None, "")
    spec = write_tokenizer(reference, checkpoint, "openvino", folder)
    assert (spec.kind, spec.clean, spec.context_length) == ("bpe", clean, LENGTH)
    return BytePairTokenizer(folder / "bpe.npz", spec.context_length, spec.clean)


@pytest.fixture(scope="module")
def ours(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> BytePairTokenizer:
    return written(reference, "lower", tmp_path_factory.mktemp("bpe"))


def differing(ours: BytePairTokenizer, reference: Any, texts: list[str]) -> list[str]:
    """Return the texts whose ids or whose `truncated` are not open_clip's."""
    ids, truncated, counts = ours(texts)
    expected = reference(texts).numpy()
    assert ids.dtype == np.int64 and ids.shape == (len(texts), LENGTH)
    ends = expected[:, ::-1] == reference.eot_token_id  # the last: a text may spell one itself
    assert counts == (LENGTH - ends.argmax(axis=1)).tolist()
    different = (ids != expected).any(axis=1)
    return [
        text
        for text, differs, cut in zip(texts, different, truncated, strict=True)
        if differs or cut != (len(reference.encode(text)) + 2 > LENGTH)
    ]


def test_the_corpus_is_large_and_reaches_the_limit(reference: Any) -> None:
    assert len(TEXTS) == len(set(TEXTS)) >= 10_000
    lengths = {len(reference.encode(text)) + 2 for text in TEXTS}
    assert lengths >= set(range(2, 81))


def test_ids_equal_open_clips(ours: BytePairTokenizer, reference: Any) -> None:
    assert not differing(ours, reference, TEXTS)


@pytest.mark.parametrize("clean", KINDS[1:])
def test_ids_equal_with_other_cleaning(clean: str, tmp_path: Path) -> None:
    reference = open_clip.SimpleTokenizer(clean=clean)
    assert not differing(written(reference, clean, tmp_path), reference, TEXTS)


def test_another_context_length(tmp_path: Path) -> None:
    reference = open_clip.SimpleTokenizer(context_length=16)
    ours = BytePairTokenizer(_file(reference, tmp_path), 16, "lower")
    texts = TEXTS[::20]
    np.testing.assert_array_equal(ours(texts).tokens, reference(texts).numpy())


def test_additional_special_tokens(tmp_path: Path) -> None:
    reference = open_clip.SimpleTokenizer(additional_special_tokens=["<mask>", "<sep>"])
    ours = BytePairTokenizer(_file(reference, tmp_path), LENGTH, "lower")
    texts = ["a <mask> b<SEP>c", "<mask", "<start_of_text><mask>", *TEXTS[::100]]
    assert not differing(ours, reference, texts)


def test_a_reordered_vocabulary_is_refused(tmp_path: Path) -> None:
    reference = open_clip.SimpleTokenizer()
    reference.encoder["a"], reference.encoder["b"] = reference.encoder["b"], reference.encoder["a"]
    with pytest.raises(SetupError, match="not numbered like CLIP's"):
        _file(reference, tmp_path)


def _file(reference: Any, folder: Path) -> Path:
    write_tokenizer(
        reference, Checkpoint(None, None, {"text_cfg": {}}, "", None, ""), "openvino", folder
    )
    return folder / "bpe.npz"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.text(max_size=120), min_size=1, max_size=4))
def test_any_texts(ours: BytePairTokenizer, reference: Any, texts: list[str]) -> None:
    assert not differing(ours, reference, texts)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet="<>_'&;#sS ſtexSTARTofendOF\n\t ", max_size=60))
def test_texts_of_the_characters_that_matter(
    ours: BytePairTokenizer, reference: Any, text: str
) -> None:
    assert not differing(ours, reference, [text])


def test_order_repetition_and_batching_do_not_matter(ours: BytePairTokenizer) -> None:
    texts = TEXTS[::50]
    together = ours(texts)
    for at in range(0, len(texts), 7):
        alone = ours([texts[at]])
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[at])
        assert alone.truncated == [together.truncated[at]]
    np.testing.assert_array_equal(ours(texts[::-1]).tokens, together.tokens[::-1])


def test_no_texts(ours: BytePairTokenizer) -> None:
    ids, truncated, counts = ours([])
    assert ids.shape == (0, LENGTH) and truncated == counts == []


def test_lone_surrogates_become_the_replacement_character(
    ours: BytePairTokenizer, reference: Any
) -> None:
    assert not differing(ours, reference, ["\ud800", "a\udfffb", "\ud83d\ude00", "\ude00\ud83d"])


def test_one_word_of_8192_letters(ours: BytePairTokenizer, reference: Any) -> None:
    """Quadratic merging, open_clip's way, takes seconds here; ours has to merge all of it too."""
    assert not differing(ours, reference, [long_word()])


def test_words_repeated_and_overlapping_merges(ours: BytePairTokenizer, reference: Any) -> None:
    texts = [letter * count for letter in "aelnst-=.!" for count in (2, 3, 4, 5, 7, 16, 33, 100)]
    assert not differing(ours, reference, texts)


@pytest.mark.parametrize("kind", KINDS)
def test_cleaning_equals_open_clips(kind: str) -> None:
    clean, expected = cleaner(kind), open_clip.tokenizer.get_clean_fn(kind)
    assert [t for t in TEXTS if clean(t) != expected(t)] == []


def test_the_ascii_short_cut_changes_nothing() -> None:
    """What skips ftfy and HTML unescaping must be what they would leave alone."""
    ascii_texts = [text for text in TEXTS if text.isascii()]
    ascii_texts += [a + chr(i) + b for i in range(128) for a in ("", "x ") for b in ("", "y")]
    assert len(ascii_texts) > 3_000
    assert sum(_PLAIN.match(text) is not None for text in ascii_texts) > 1_000
    for text in ascii_texts:
        assert _fix(text) == html.unescape(html.unescape(ftfy.fix_text(text)))


def test_an_unknown_cleaning_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown cleaning 'other'"):
        cleaner("other")
