"""The torch engine as far as a CPU can run it: slices, padding, reduced precision, warm-up."""

import numpy as np
import pytest
from pictures import picture
from tiny_models import KINDS, build, write

from handler.bake import BakeRequest, bake
from handler.bake.checkpoint import torch
from handler.bundle import Bundle
from handler.call import Call
from handler.embedder import PROBE_COSINE, Embedder
from handler.engines.graphs import Padded, batch_sizes
from handler.engines.torch_engine import TorchEngine, is_convolutional
from handler.errors import DeadlineExceeded, SetupError
from handler.items import Image, Item, Options, Text
from handler.settings import Settings
from handler.vectors import cosines

TORCH = Settings(engine="torch")


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("causal")
    name = write(folder / "checkpoint", KINDS["causal"])
    return bake(BakeRequest(name, "", folder / "bundle", engine="torch"))


def tokens(bundle: Bundle, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    rows = np.zeros((count, bundle.manifest.tokenizer.context_length), np.int64)
    for row in range(count):
        rows[row, : 3 + row % 20] = 5 + row % 90
        rows[row, 3 + row % 20] = 49_407
    return rows


def test_slices_give_the_rows_in_order(causal: Bundle) -> None:
    engine = TorchEngine(causal, TORCH.model_copy(update={"max_batch": 80}), 2)
    rows = tokens(causal, 205)
    vectors = engine.encode_text(rows, Call())
    assert vectors.shape == (205, causal.manifest.dim) and vectors.dtype == np.float32
    alone = np.concatenate(
        [engine.encode_text(rows[at : at + 1], Call()) for at in range(0, 205, 9)]
    )
    np.testing.assert_allclose(vectors[::9], alone, rtol=0, atol=1e-5)
    cancelled = Call()
    cancelled.cancelled.set()
    with pytest.raises(DeadlineExceeded):
        engine.encode_text(rows, cancelled)


def test_warming_every_batch_size_changes_no_vector(causal: Bundle) -> None:
    engine = TorchEngine(causal, TORCH, 2)
    rows = tokens(causal, 7)
    pixels = np.random.default_rng(0).random((5, 3, 32, 32), np.float32)
    before = engine.encode_text(rows, Call()), engine.encode_image(pixels, Call())
    engine.prepare(causal, TORCH)
    np.testing.assert_array_equal(before[0], engine.encode_text(rows, Call()))
    np.testing.assert_array_equal(before[1], engine.encode_image(pixels, Call()))


def test_padding_to_a_batch_size_changes_no_vector(causal: Bundle) -> None:
    engine = TorchEngine(causal, TORCH, 2)
    seen: list[int] = []

    def encode(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return torch.from_numpy(engine.encode_text(rows.numpy(), Call()))

    assert batch_sizes(64) == [1, 2, 4, 8, 16, 32, 48, 64]
    assert batch_sizes(6) == [1, 2, 4, 6]
    assert batch_sizes(1) == [1]
    padded = Padded(dict.fromkeys(batch_sizes(20), encode))
    for count in (1, 3, 5, 8, 9, 17, 20):
        rows = tokens(causal, count)
        found = padded(torch.from_numpy(rows)).numpy()
        np.testing.assert_allclose(found, engine.encode_text(rows, Call()), rtol=0, atol=1e-5)
    assert seen == [1, 4, 8, 8, 16, 20, 20]


def test_bf16_stays_within_its_tolerance_and_returns_float32(causal: Bundle) -> None:
    exact = Embedder(causal, TORCH)
    rough = Embedder(causal, TORCH.model_copy(update={"precision": "bf16", "max_batch": 8}))
    rough.warm_up()
    items: list[Item] = [Text("red circle"), Text("a blue square " * 9), Image(picture())]
    one, other = exact.embed(items, Options()), rough.embed(items, Options())
    assert other.vectors.dtype == np.float32
    assert PROBE_COSINE["bf16"] <= cosines(one.vectors, other.vectors).min() < 1
    assert exact.default_space != rough.default_space
    unit = rough.embed(items, Options(normalize=True)).vectors
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=0, atol=1e-6)
    rough.close()


@pytest.mark.parametrize(
    ("kind", "convolutional"),
    [("causal", False), ("siglip", False), ("modified resnet", True), ("timm resnet", True)],
)
def test_channels_last_is_for_towers_of_convolutions(kind: str, convolutional: bool) -> None:
    visual = build(KINDS[kind]).visual
    assert is_convolutional(visual) is convolutional
    if convolutional:
        pixels = torch.rand(3, 3, 64, 64)
        with torch.inference_mode():
            plain = visual(pixels)
            moved = visual.to(memory_format=torch.channels_last)(pixels)
        torch.testing.assert_close(plain, moved, rtol=1e-4, atol=1e-5)


def test_a_gpu_is_used_or_its_absence_told(causal: Bundle) -> None:
    if torch.cuda.is_available():
        embedder = Embedder(causal, TORCH.model_copy(update={"device": "cuda"}))
        embedder.warm_up()
    else:
        with pytest.raises(SetupError, match="torch sees no GPU; set DEVICE=cpu"):
            Embedder(causal, TORCH.model_copy(update={"device": "cuda"}))
