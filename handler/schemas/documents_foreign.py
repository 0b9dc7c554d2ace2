"""The contracts other systems' clients speak, as OpenAPI paths."""

from handler.schemas.documents import Schema
from handler.settings import Settings


def foreign_paths(settings: Settings) -> Schema:
    """Return the paths of OpenAI's, Cohere's, Text Embeddings Inference's, Weaviate's contracts."""
    return {}
