"""The predecessor's way, for comparison: eager open_clip behind a minimal FastAPI app.

MODEL_NAME, MODEL_PRETRAINED and PORT configure it: `python -m benchmarks.plain`.
"""

import base64
import io
import os
import time
from typing import Any

import torch
from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel

from handler.torchvision_ops import ensure_torchvision

ensure_torchvision()
import open_clip  # noqa: E402


class EmbeddingsRequest(BaseModel):
    """One text, one picture in base64, or both."""

    text: str | None = None
    image: str | None = None


class Model:
    """open_clip as its README uses it."""

    def __init__(self, name: str, pretrained: str) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(
            name, pretrained=pretrained
        )
        self.model.eval()
        self.tokenizer = open_clip.get_tokenizer(name)

    def embed(self, request: EmbeddingsRequest) -> dict[str, Any]:
        """Return the answer to one request."""
        started = time.perf_counter()
        vectors = []
        with torch.no_grad():
            if request.text is not None:
                vectors.append(self.model.encode_text(self.tokenizer([request.text]))[0].tolist())
            if request.image is not None:
                image = Image.open(io.BytesIO(base64.b64decode(request.image)))
                pixels = self.preprocess(image).unsqueeze(0)
                vectors.append(self.model.encode_image(pixels)[0].tolist())
        duration = time.perf_counter() - started
        return {"model": "plain", "device": "cpu", "embeddings": vectors, "duration": duration}


def create_app(model: Model) -> FastAPI:
    """Return the app."""
    app = FastAPI()

    @app.get("/")
    def index() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/embeddings")
    def embeddings(request: EmbeddingsRequest) -> dict[str, Any]:
        return model.embed(request)

    return app


def load() -> Model:
    """Load the model the environment names."""
    return Model(os.environ["MODEL_NAME"], os.environ["MODEL_PRETRAINED"])


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(create_app(load()), host="127.0.0.1", port=int(os.environ["PORT"]))
