"""The native contract as OpenAPI shows it; `native` reads and writes it."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class EmbeddingsRequest(BaseModel):
    """Texts and pictures to embed; at least one of the two."""

    text: str | list[str] | None = Field(None, description="one text or several")
    image: str | list[str] | None = Field(
        None, description="base64 of a picture file's bytes, or a data URI; one or several"
    )
    normalize: bool = Field(False, description="scale vectors to unit length")
    truncate: Literal["end", "none"] = Field(
        "end", description="`end`: cut texts longer than the context; `none`: refuse them"
    )
    decode: Literal["exact", "fast"] | None = Field(
        None, description="`fast`: DCT-scaled JPEG decode, a space of its own"
    )
    orient: Literal["reference", "exif"] | None = Field(
        None, description="`exif`: apply the EXIF orientation first, a space of its own"
    )


class EmbeddingsResponse(BaseModel):
    """One vector an item: texts first, then pictures, each in the request's order."""

    model: str = Field(description="MODEL_ID of the model that answered")
    device: str = Field(description="cpu or cuda")
    embeddings: list[list[float]]
    duration: float = Field(description="seconds, decoding included")
    space: str = Field(description="vectors with different space ids must not share an index")
    dim: int
    normalized: bool
    truncated: list[bool] = Field(description="per vector: the text was cut to the context length")


class ErrorDetail(BaseModel):
    """What was wrong, where, and the limit that applies."""

    code: str
    message: str
    field: str | None
    limit: int | None


class ErrorResponse(BaseModel):
    """The one shape of every error."""

    error: ErrorDetail


RED_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
EXAMPLES: dict[str, Any] = {
    "text": {"summary": "One text", "value": {"text": "red sofa"}},
    "image": {"summary": "One picture (a red pixel)", "value": {"image": RED_PIXEL}},
    "both": {
        "summary": "Several of each, unit length",
        "value": {"text": ["red sofa", "blue chair"], "image": [RED_PIXEL], "normalize": True},
    },
}
