"""Which contract answers on which path, told by the body's shape where two share one.

Contracts are imported when a request first needs one: a cold start pays for none but its own.
"""

from typing import Final

from handler.schemas.contract import Contract

EMBEDDING_PATHS: Final = (
    "/embeddings",
    "/v1/embeddings",
    "/vectorize",
    "/embed",
    "/v2/embed",
    "/rank",
    "/classify",
    "/invocations",
)


def contract_for(path: str, payload: object = None) -> Contract:
    """Return the contract of a path, the native one for paths that have none."""
    match path.split("/"):
        case ["", "embeddings" | "invocations"] if isinstance(payload, dict):
            return _by_shape(payload)
        case ["", "v1", *_]:
            from handler.schemas import openai

            return openai
        case ["", "vectorize" | "meta" | ".well-known", *_]:
            from handler.schemas import weaviate

            return weaviate
        case ["", "embed" | "info"]:
            from handler.schemas import tei

            return tei
        case ["", "v2", *_]:
            from handler.schemas import cohere

            return cohere
        case ["", "rank"]:
            from handler.schemas import rank

            return rank
        case ["", "classify"]:
            from handler.schemas import classify

            return classify
    from handler.schemas import native

    return native


def _by_shape(payload: dict[str, object]) -> Contract:
    if "input" in payload or "messages" in payload:
        from handler.schemas import openai

        return openai
    if "inputText" in payload or "inputImage" in payload:
        from handler.schemas import titan

        return titan
    from handler.schemas import native

    return native
