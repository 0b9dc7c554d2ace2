"""LangChain's OpenAIEmbeddings over HTTP: its default of sending token ids is refused."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import numpy as np
import pytest
import tiktoken
from calls import embed
from langchain_openai import OpenAIEmbeddings
from openai import BadRequestError
from tiktoken.registry import ENCODINGS

from handler.embedder import Embedder
from handler.items import Options

UNIT = Options(normalize=True)


def at(url: str) -> dict[str, Any]:
    return {"base_url": f"{url}/v1", "api_key": "any"}


@contextmanager
def langchain(url: str, **options: Any) -> Iterator[OpenAIEmbeddings]:
    """Clients of ours, since LangChain closes none of its own."""
    with httpx2.Client() as client:
        yield OpenAIEmbeddings(**at(url), http_client=client, **options)


def test_the_default_is_told_what_to_set(url: str) -> None:
    # LangChain downloads this encoding; one of single bytes, put where tiktoken keeps what it has
    # read, makes it send token ids without a network.
    ENCODINGS["cl100k_base"] = tiktoken.Encoding(
        "cl100k_base",
        pat_str=r"\S+|\s+",
        mergeable_ranks={bytes([value]): value for value in range(256)},
        special_tokens={},
    )
    said = r"set OpenAIEmbeddings\(check_embedding_ctx_length=False\)"
    try:
        with langchain(url) as embeddings, pytest.raises(BadRequestError, match=said):
            embeddings.embed_query("red circle")
    finally:
        del ENCODINGS["cl100k_base"]


def test_strings_are_embedded(url: str, embedder: Embedder) -> None:
    texts = ["red circle", "blue square"]
    expected = embed(embedder, texts, [], UNIT).vectors
    with langchain(url, check_embedding_ctx_length=False) as embeddings:
        assert np.allclose(embeddings.embed_documents(texts), expected, atol=1e-5)
        assert np.allclose(embeddings.embed_query(texts[0]), expected[0], atol=1e-5)

    async def ask() -> list[list[float]]:
        async with httpx2.AsyncClient() as client:
            return await OpenAIEmbeddings(
                **at(url), check_embedding_ctx_length=False, http_async_client=client
            ).aembed_documents(texts)

    assert np.allclose(asyncio.run(ask()), expected, atol=1e-5)


def test_dimensions(url: str) -> None:
    with langchain(url, check_embedding_ctx_length=False, dimensions=8) as embeddings:
        assert len(embeddings.embed_query("red circle")) == 8
