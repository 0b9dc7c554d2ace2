"""open_clip itself, on CPU or CUDA: for GPUs, and for architectures OpenVINO cannot take."""

import logging
import threading
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handler.bundle import Bundle
from handler.call import Call
from handler.errors import SetupError
from handler.settings import Settings
from handler.tokens import Encoded
from handler.torchvision_ops import ensure_torchvision

try:
    import torch

    ensure_torchvision()
    import open_clip
    from safetensors.torch import load_file

    from handler.engines import graphs
    from handler.engines.graphs import Encode
except ImportError as error:
    raise SetupError(
        f'ENGINE=torch needs torch and open_clip: pip install "openclip-serverless[bake]" ({error})'
    ) from None

BATCH: Final = 64
"""Rows run at once, or MAX_BATCH where that is more."""
_DTYPES: Final = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
_log: Final = logging.getLogger("openclip")


class TorchEngine:
    """The checkpoint in open_clip's own modules; vectors leave as float32.

    Attention needs nothing done: nn.MultiheadAttention calls PyTorch's fused kernels by itself.
    Pixels arrive normalised, as every engine takes them; sent as uint8 and normalised on the GPU
    they would be a quarter of the bytes.
    """

    image_batch = BATCH

    def __init__(self, bundle: Bundle, settings: Settings, threads: int) -> None:
        precision, device = settings.precision, settings.device
        if device == "cuda" and not torch.cuda.is_available():
            raise SetupError(
                "DEVICE=cuda is set and torch sees no GPU; set DEVICE=cpu to go without"
            )
        torch.set_num_threads(threads)
        self.device = device
        self._dtype: Final = _DTYPES[precision]
        self._batch: Final = max(BATCH, settings.max_batch or 0)
        model = build_model(bundle).to(device)
        self._model: Final = model.to(self._dtype) if precision != "f32" else model
        self._lock = threading.Lock()
        self._text: Encode = partial(self._model.encode_text, normalize=False)
        self._image: Encode = partial(self._model.encode_image, normalize=False)
        if device == "cuda":
            if is_convolutional(self._model.visual):
                self._model.visual.to(memory_format=torch.channels_last)
            self.prepare(bundle, settings)

    def encode_text(self, tokens: NDArray[np.int64], call: Call) -> NDArray[np.float32]:
        """int64 (n, context_length) → float32 (n, dim)."""
        call.check()
        with self._lock, torch.inference_mode():
            return self._run(self._text, torch.from_numpy(tokens), None)

    def encode_image(self, pixel_values: NDArray[np.float32], call: Call) -> NDArray[np.float32]:
        """float32 (n, 3, height, width) → float32 (n, dim)."""
        call.check()
        with self._lock, torch.inference_mode():
            return self._run(self._image, torch.from_numpy(pixel_values), self._dtype)

    def prepare(self, bundle: Bundle, settings: Settings) -> None:
        """Run every batch size once, or record it: a GPU library sets itself up for each shape."""
        spec, towers = bundle.manifest.preprocess, settings.towers
        length = bundle.manifest.tokenizer.context_length
        sizes = graphs.batch_sizes(self._batch)
        with torch.inference_mode():
            if towers != "image":
                tokens = torch.ones((1, length), dtype=torch.int64, device=self.device)
                self._text = self._prepared(self._text, tokens, sizes, settings)
            if towers != "text":
                shape = (1, 3, spec.height, spec.width)
                pixels = torch.zeros(shape, dtype=self._dtype, device=self.device)
                self._image = self._prepared(self._image, pixels, sizes, settings)

    def _prepared(
        self, encode: Encode, example: Any, sizes: list[int], settings: Settings
    ) -> Encode:
        if settings.cuda_graphs and self.device == "cuda":
            try:
                return graphs.record(encode, example, sizes)
            except RuntimeError as error:
                _log.warning("CUDA_GRAPHS: a tower cannot be recorded and runs as it is: %s", error)
        for size in reversed(sizes):  # the largest first: the allocator then has room for the rest
            encode(example.expand(size, *example.shape[1:]).contiguous())
        return encode

    def _run(self, encode: Encode, inputs: Any, dtype: Any) -> NDArray[np.float32]:
        """Run slices of a batch; only the last line waits, so a GPU has the next slice by then."""
        parts = [encode(self._moved(part, dtype)).float() for part in inputs.split(self._batch)]
        vectors: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return vectors

    def _moved(self, part: Any, dtype: Any) -> Any:
        if self.device == "cuda":
            # Pinned memory is what the GPU fetches by itself while the CPU goes on; torch keeps it
            # until the copy has been made, and its block for the next one.
            part = part.pin_memory().to(self.device, non_blocking=True)
        return part if dtype is None else part.to(dtype)


def is_convolutional(visual: Any) -> bool:
    """Say whether an image tower is more than one convolution, a ViT's patches, and attention."""
    kernels = [m.kernel_size for m in visual.modules() if isinstance(m, torch.nn.Conv2d)]
    return sum(max(kernel) > 1 for kernel in kernels) > 1


class OpenClipTokenizer:
    """open_clip's own tokenizer, for the few models whose tokenizer has no file we can run."""

    def __init__(self, bundle: Bundle) -> None:
        self._tokenizer: Final = open_clip.get_tokenizer(bundle.manifest.model_name)

    def __call__(self, texts: list[str]) -> Encoded:
        """Encode texts; the library does not say which were cut."""
        tokens = self._tokenizer(texts).numpy().astype(np.int64)
        return Encoded(tokens, [False] * len(texts), np.count_nonzero(tokens, axis=1).tolist())


def build_model(bundle: Bundle) -> Any:
    """Return the bundle's open_clip model in float32 and eval mode, built without a download."""
    config = dict(bundle.manifest.model_config_json or {})
    custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
    if "multimodal_cfg" in config:
        kind = open_clip.CoCa
    else:
        kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    # The towers' own pretrained weights would be a download, and would be overwritten here.
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"] = {**config["vision_cfg"], "timm_model_pretrained": False}
    if "hf_model_name" in config["text_cfg"]:
        config["text_cfg"] = {**config["text_cfg"], "hf_model_pretrained": False}
    model = kind(**config)
    model.load_state_dict(load_file(bundle.file("weights.safetensors")), strict=True)
    return model.eval()
