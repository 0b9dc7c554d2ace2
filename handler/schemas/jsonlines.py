"""Many requests in one body, a JSON object a line; as many answers, in the same order.

Each line is a request by itself, in any contract its path or shape stands for, and gets what it
would get alone, an error object if need be: one bad line spoils no other. The lines' texts and
pictures are embedded together. This is how Batch Transform sends records (SplitType=Line).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from handler.embedder import Embeddings
from handler.errors import InvalidRequest, PayloadTooLarge, ServiceError
from handler.items import Options
from handler.routes import contract_for
from handler.schemas.contract import LINE_TYPES, Answer, Arrived, Contract, Served, Wanted
from handler.schemas.fields import parse

Embed = Callable[[Wanted], Embeddings]

AT_ONCE: Final = 256
"""Items embedded together: bounds the decoded pictures held at one time."""


@dataclass
class _Line:
    """One request: what it asks for, then what was found or what is wrong with it."""

    contract: Contract
    wanted: Wanted
    found: Embeddings | None = None
    error: ServiceError | None = None


def answer(arrived: Arrived, path: str, served: Served, embed: Embed) -> Answer:
    """Return one line for each line of the body; `embed` is given many lines' items at once.

    Raises:
        InvalidRequest: there is no line.
        PayloadTooLarge: the answers pass MAX_RESPONSE_BYTES.
    """
    lines = arrived.body.split(b"\n")
    if not lines[-1].strip():  # what follows the last newline; other empty lines are bad records
        lines.pop()
    if not arrived.body.strip():
        raise InvalidRequest("the body has no line", field="body", code="nothing_to_embed")
    written: list[bytes] = []
    size = failed = 0
    limit = served.settings.max_response_bytes
    for group in _groups(_read(line, path, served) for line in lines):
        _embed_group(group, embed)
        for line in group:
            written.append(_write(line, served))
            size += len(written[-1]) + 1
            failed += line.error is not None
        if size > limit:
            raise PayloadTooLarge(
                f"the answers to the first {len(written)} lines have {size} bytes; at most {limit}",
                field="body",
                limit=limit,
                code="response_too_large",
            )
    headers = {"x-embedding-failed": str(failed)} if failed else {}
    return Answer(b"\n".join(written) + b"\n", LINE_TYPES[0], headers)


def _read(line: bytes, path: str, served: Served) -> _Line:
    contract = contract_for(path)
    try:
        payload = parse(line)
        contract = contract_for(path, payload)
        return _Line(contract, contract.decode(Arrived(line), payload, served))
    except ServiceError as error:
        return _Line(contract, Wanted([], Options()), error=error)


def _groups(lines: Iterator[_Line]) -> Iterator[list[_Line]]:
    group: list[_Line] = []
    count = 0
    for line in lines:
        group.append(line)
        count += max(len(line.wanted.items), 1)
        if count >= AT_ONCE:
            yield group
            group, count = [], 0
    if group:
        yield group


def _embed_group(group: Sequence[_Line], embed: Embed) -> None:
    """Embed what has the same options together, and give every line its rows."""
    alike: dict[Options, list[_Line]] = {}
    for line in group:
        if line.error is None:
            alike.setdefault(replace(line.wanted.options, errors="item"), []).append(line)
    for options, lines in alike.items():
        together = [item for line in lines for item in line.wanted.items]
        found = embed(Wanted(together, options))
        start = 0
        for line in lines:
            stop = start + len(line.wanted.items)
            line.found = _rows(found, start, stop)
            if line.found.errors and line.wanted.options.errors == "fail":
                line.error = line.found.errors[min(line.found.errors)]
            start = stop


def _rows(found: Embeddings, start: int, stop: int) -> Embeddings:
    return Embeddings(
        found.vectors[start:stop],
        found.truncated[start:stop],
        found.tokens[start:stop],
        found.space,
        {at - start: error for at, error in found.errors.items() if start <= at < stop},
    )


def _write(line: _Line, served: Served) -> bytes:
    if line.error is None and line.found is not None:
        return line.contract.encode(line.found, line.wanted, served, 0.0).body
    assert line.error is not None  # noqa: S101  a line without vectors has one
    return orjson.dumps(line.contract.refuse(line.error)[1])
