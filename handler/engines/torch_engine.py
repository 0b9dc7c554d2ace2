"""open_clip itself, on CPU or CUDA: for GPUs, and for architectures OpenVINO cannot take."""

import threading
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
except ImportError as error:
    raise SetupError(
        f'ENGINE=torch needs torch and open_clip: pip install "openclip-serverless[bake]" ({error})'
    ) from None

BATCH: Final = 64
_DTYPES: Final = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class TorchEngine:
    """The checkpoint in open_clip's own modules; vectors leave as float32."""

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
        model = build_model(bundle).to(device)
        self._model: Final = model.to(self._dtype) if precision != "f32" else model
        self._lock = threading.Lock()

    def encode_text(self, tokens: NDArray[np.int64], call: Call) -> NDArray[np.float32]:
        """int64 (n, context_length) → float32 (n, dim)."""
        call.check()
        return self._run(self._model.encode_text, torch.from_numpy(tokens), None)

    def encode_image(self, pixel_values: NDArray[np.float32], call: Call) -> NDArray[np.float32]:
        """float32 (n, 3, height, width) → float32 (n, dim)."""
        call.check()
        return self._run(self._model.encode_image, torch.from_numpy(pixel_values), self._dtype)

    def _run(self, encode: Any, inputs: Any, dtype: Any) -> NDArray[np.float32]:
        with self._lock, torch.inference_mode():
            parts = [
                encode(part.to(self.device, dtype), normalize=False).float().cpu()
                for part in inputs.split(BATCH)
            ]
            vectors: NDArray[np.float32] = torch.cat(parts).numpy()
            return vectors


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
