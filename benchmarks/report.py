"""Samples → rows with goals → a table on the terminal and in Markdown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

Samples = Mapping[str, list[float]]
COLUMNS: Final = ("what", "plain", "ours", "better by", "goal", "reached")
WIDTHS: Final = (55, 20, 20, 9, 8, 7)
KINDS: Final = {"embedder": "embedder alone", "lambda": "Lambda handler"}


@dataclass(frozen=True)
class Row:
    """One line of the table, as text; `met` is None where there is no goal."""

    what: str
    plain: str = ""
    ours: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the line's cells."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}×"
        met = {None: "", True: "met", False: "not met"}[self.met]
        return self.what, self.plain, self.ours, ratio, self.goal, met


def sections(samples: Samples) -> dict[str, list[Row]]:
    """Return the rows under their headings; what was not measured is left out."""
    found = {
        "Process start to the first text vector and the first image vector": _starts(samples),
        "Memory and disk": _memory(samples),
        "HTTP, one request at a time: p50 (p95)": _http(samples),
        "Pictures": _pictures(samples),
        "Batches: p50 (p95)": _batches(samples),
        "One short text, taken apart: p50 (p95)": _overhead(samples),
        "Fidelity: lowest cosine to plain": _fidelity(samples),
    }
    return {title: list(rows) for title, rows in found.items()}


def render(console: Console, tables: Mapping[str, list[Row]]) -> None:
    """Print a table a heading, of equal widths."""
    for title, rows in tables.items():
        if not rows:
            continue
        table = Table(title=title, title_justify="left")
        for name, width in zip(COLUMNS, WIDTHS, strict=True):
            table.add_column(name, min_width=width)
        for row in rows:
            *cells, met = row.cells()
            colour = "green" if row.met else "red"
            table.add_row(*cells, f"[{colour}]{met}[/]" if met else "")
        console.print(table)


def markdown(machine: Mapping[str, str], notes: list[str], tables: Mapping[str, list[Row]]) -> str:
    """Return the same as Markdown."""
    lines = [", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    for title, rows in tables.items():
        if rows:
            lines += [f"### {title}", "", _line(COLUMNS), _line(("---",) * len(COLUMNS))]
            lines += [*(_line(row.cells()) for row in rows), ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes)]).rstrip() + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _compared(what: str, plain: float, ours: float, unit: str, factor: float | None) -> Row:
    """Compare two medians of which the smaller is the better."""
    ratio = plain / ours
    goal = "" if factor is None else f"≥ {factor:g}×"
    met = None if factor is None else ratio >= factor
    return Row(what, f"{plain:,.4g} {unit}", f"{ours:,.4g} {unit}", ratio, goal, met)


def _starts(samples: Samples) -> Iterator[Row]:
    for cache in ("warm", "dropped"):
        for kind, label in KINDS.items():
            plain, ours = (samples.get(f"start {cache} {k} s") for k in ("plain", kind))
            if plain and ours:
                what = f"{label}, page cache {cache}"
                yield _compared(what, median(plain), median(ours), "s", 6)


def _memory(samples: Samples) -> Iterator[Row]:
    for kind, label in KINDS.items():
        plain, ours = (samples.get(f"start dropped {k} read MB") for k in ("plain", kind))
        if plain and ours:
            row = _compared(f"read from disk, {label}", median(plain), median(ours), "MB", None)
            goal, met = "≤ 480 MB", median(ours) <= 480
            yield Row(row.what, row.plain, row.ours, row.ratio, goal, met)
    for kind, label in KINDS.items():
        plain, ours = (samples.get(f"start warm {k} peak MB") for k in ("plain", kind))
        if plain and ours:
            what = f"peak resident memory, {label}"
            yield _compared(what, median(plain), median(ours), "MB", 2)


def _http(samples: Samples) -> Iterator[Row]:
    for case, label, reference, factor in (
        ("short", 'text, 4 tokens ("red sofa")', "short", 4.0),
        ("long", "text, 77 tokens", "long", None),
        ("small", "JPEG 640x480", "small", 1.6),
        ("large", "JPEG 4000x3000", "large", None),
        ("large fast", 'JPEG 4000x3000, "decode": "fast"', "large", 2.5),
    ):
        plain, ours = samples.get(f"http {reference} plain"), samples.get(f"http {case} ours")
        if plain and ours:
            row = _compared(label, median(plain), median(ours), "ms", factor)
            yield Row(label, _spread(plain), _spread(ours), row.ratio, row.goal, row.met)
    for case, label in (("texts", "16 short texts"), ("images", "16 JPEGs 640x480")):
        plain, ours = samples.get(f"http {case} plain"), samples.get(f"http {case} ours")
        if plain and ours:
            slow, quick = 16_000 / median(plain), 16_000 / median(ours)
            label += ", one request (plain: 16)"
            yield Row(label, f"{slow:.1f} a second", f"{quick:.1f} a second", quick / slow)


def _pictures(samples: Samples) -> Iterator[Row]:
    exact, fast = samples.get("parts pixels exact"), samples.get("parts pixels fast")
    if exact and fast:
        ratio = median(exact) / median(fast)
        what = "decode + preprocess 4000x3000: exact as plain, ours fast"
        yield Row(what, _spread(exact), _spread(fast), ratio, "≥ 3×", ratio >= 3)


def _batches(samples: Samples) -> Iterator[Row]:
    engine, request = samples.get("parts engine 16"), samples.get("parts request 16")
    if engine and request:
        yield Row("16 pictures, the engine alone", ours=_spread(engine))
        ratio = median(r / e for e, r in zip(engine, request, strict=True))
        what = "16 JPEGs 640x480, request to answer, in turn with the engine"
        yield Row(what, ours=_spread(request), goal="≤ 1.15×", met=ratio <= 1.15)
        yield Row("the same by the engine's own time, pair by pair", ours=f"{ratio:.3f}×")
    if write := samples.get("parts write 64"):
        met = median(write) <= 5
        yield Row("JSON of 64 x 512 floats", ours=_spread(write), goal="≤ 5 ms", met=met)


def _overhead(samples: Samples) -> Iterator[Row]:
    if "http" not in samples:
        return
    yield Row("over HTTP, client included", ours=_spread(samples["http"]))
    yield Row("engine: encode_text", ours=_spread(samples["parts encode_text"]))
    engine, embed = samples["parts encode_text"], samples["parts embed"]
    yield _less("own overhead: HTTP less engine", samples["http"], engine, 3)
    for label, key in (
        ("HTTP less the answer's own duration, pair by pair", "http outside"),
        ("GET /health: the floor of client and server", "health"),
        ("reading the request", "parts read request"),
        ("tokenising, words cached", "parts tokenise"),
        ("embed in process: tokenise, engine, check", "parts embed"),
        ("writing the answer", "parts write answer"),
    ):
        yield Row(label, ours=_spread(samples[key]))
    for label, key in (("direct event", "rie direct"), ("REST API event", "rie rest")):
        if key in samples:
            yield Row(f"Lambda's emulator, {label}", ours=_spread(samples[key]))
            what = f"emulator, runtime client, Mangum, {label}: less embed"
            yield _less(what, samples[key], embed, 5)
            what = f"{label} less the answer's own duration, pair by pair"
            yield Row(what, ours=_spread(samples[f"{key} outside"]))


def _less(what: str, whole: list[float], part: list[float], limit: float) -> Row:
    """Subtract medians; on a busy machine the difference of two can drown, which is no success."""
    cost = median(whole) - median(part)
    goal = f"≤ {limit:g} ms"
    if cost < 0:
        return Row(what, ours="drowned in noise", goal=goal)
    return Row(what, ours=f"{cost:.2f} ms", goal=goal, met=cost <= limit)


def _fidelity(samples: Samples) -> Iterator[Row]:
    names = ("short", "long", "texts", "small", "large", "images")
    kinds = {"texts": names[:3], "pictures": names[3:]}
    for label, cases in kinds.items():
        values = [v for case in cases for v in samples.get(f"cosine {case}", [])]
        if values:
            worst = min(values)
            yield Row(f"{len(values)} {label}", ours=f"{worst:.8f}")
    if fast := samples.get("cosine large fast"):
        yield Row('JPEG 4000x3000, "decode": "fast" (a space of its own)', ours=f"{min(fast):.6f}")


def _spread(times: list[float]) -> str:
    return f"{median(times):.2f} ms ({percentile(times, 95):.2f})"


def percentile(values: list[float], rank: int) -> float:
    """Return the smallest value that at least `rank` percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(-(-len(ordered) * rank // 100) - 1, 0)]
