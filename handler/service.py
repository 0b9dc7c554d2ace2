"""One request in a worker thread: decode → fetch → embed → encode, whatever its contract."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson

from handler.call import Call
from handler.embedder import Embedder, Embeddings
from handler.errors import NotReady, Overloaded, ServiceError
from handler.frame import Record
from handler.items import Asked, Image, Item, Remote, Text
from handler.routes import contract_for
from handler.schemas.contract import LINE_TYPES, Answer, Arrived, Served, Wanted
from handler.schemas.fields import parse
from handler.settings import Settings

if TYPE_CHECKING:
    from handler.sources import Sources


class Service:
    """Answers embedding requests of every contract."""

    def __init__(self, embedder: Callable[[], Embedder | None], settings: Settings) -> None:
        self._embedder: Final = embedder
        self._settings: Final = settings
        self._sources: Sources | None = None
        if settings.image_hosts or settings.image_buckets:
            self._sources = self._make_sources()  # at the start: a wrong setting must stop it

    def ready(self) -> Embedder:
        """Return the model.

        Raises:
            NotReady: it is still loading.
        """
        found = self._embedder()
        if found is None:
            raise NotReady("the model is still loading; try again in a moment")
        return found

    def answer(self, path: str, arrived: Arrived, record: Record) -> Answer:
        """Answer one request; what is wrong with it comes back in its contract's own shape."""
        started = time.perf_counter()
        contract = contract_for(path)
        call = record.call
        try:
            embedder = self.ready()
            served = Served(embedder.manifest, self._settings, embedder.device)
            if arrived.kind in LINE_TYPES:
                from handler.schemas import jsonlines

                embed = partial(self._vectors, embedder, record)
                return jsonlines.answer(arrived, path, served, embed)
            with call.stage("decode"):
                payload = None
                if arrived.form is None and not arrived.kind.startswith("image/"):
                    payload = parse(arrived.body)
                    contract = contract_for(path, payload)
                wanted = contract.decode(arrived, payload, served)
            found = self._vectors(embedder, record, wanted)
            with call.stage("encode"):
                answer = contract.encode(found, wanted, served, time.perf_counter() - started)
        except ServiceError as error:
            record.code = error.code
            return refusal(path, error, contract.refuse(error))
        answer.headers.update(_facts(found, wanted))
        return answer

    def _vectors(self, embedder: Embedder, record: Record, wanted: Wanted) -> Embeddings:
        record.count(wanted.items)
        items = self._fetched(wanted, record.call)
        with record.call.stage("embed"):
            return _embedded(embedder, items, wanted, record.call)

    def _fetched(self, wanted: Wanted, call: Call) -> list[Text | Image | ServiceError]:
        """Replace pictures given by URL with their bytes, or with the error that kept them away."""
        items = wanted.items
        remote = [(at, item) for at, item in enumerate(items) if isinstance(item, Remote)]
        known = [item for item in items if not isinstance(item, Remote)]
        if not remote:
            return known
        sources = self._sources or self._make_sources()
        with call.stage("fetch"):
            found = sources.fetch([(item.url, item.field) for _, item in remote], call)
        out: list[Asked] = list(items)
        for (at, item), data in zip(remote, found, strict=True):
            if isinstance(data, ServiceError) and wanted.options.errors == "fail":
                raise data
            out[at] = Image(data, item.field) if isinstance(data, bytes) else data
        return [item for item in out if not isinstance(item, Remote)]

    def _make_sources(self) -> "Sources":
        from handler.sources import Sources

        return Sources(self._settings)


def refusal(path: str, error: ServiceError, shaped: tuple[int, object] | None = None) -> Answer:
    """Return an error in the shape of the contract that answers on this path."""
    status, body = shaped or contract_for(path).refuse(error)
    headers = {"retry-after": str(error.retry_after)} if isinstance(error, Overloaded) else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Answer(orjson.dumps(body), headers=headers, status=status)


def _embedded(
    embedder: Embedder,
    items: Sequence[Item | ServiceError],
    wanted: Wanted,
    call: Call,
) -> Embeddings:
    """Embed the items that are whole, and put the vectors back among those that are not."""
    good = [(at, item) for at, item in enumerate(items) if not isinstance(item, ServiceError)]
    found = embedder.embed([item for _, item in good], wanted.options, call)
    if len(good) == len(items):
        return found
    at = [position for position, _ in good]
    spread = Embeddings(
        np.zeros((len(items), found.vectors.shape[1]), np.float32),
        [False] * len(items),
        [0] * len(items),
        found.space,
        {at[index]: error for index, error in found.errors.items()},
    )
    spread.vectors[at] = found.vectors
    for index, position in enumerate(at):
        spread.truncated[position] = found.truncated[index]
        spread.tokens[position] = found.tokens[index]
    for position, item in enumerate(items):
        if isinstance(item, ServiceError):
            spread.errors[position] = item
    return spread


def _facts(found: Embeddings, wanted: Wanted) -> dict[str, str]:
    """Return headers that say what no foreign contract has a field for."""
    facts = {"x-embedding-space": found.space}
    if any(found.truncated):
        facts["x-embedding-truncated"] = str(sum(found.truncated))
    if wanted.options.dimensions is not None:
        facts["x-embedding-lossy"] = "dimensions"
    return facts
