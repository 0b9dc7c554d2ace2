"""Measure this project beside plain open_clip: `python -m benchmarks.serving`.

Five rounds take about ten minutes on two cores; nothing else should run on the machine.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import inputs, measure, model, report
from benchmarks.processes import machine

WORK = Path("~/.cache/openclip-serverless/benchmarks")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--n", type=int, default=5, help="rounds (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--work", type=Path, default=WORK, help="folder kept between runs")
    parser.add_argument("--markdown", type=Path, help="write the table here, too")
    parser.add_argument("--json", type=Path, help="write every sample here")
    arguments = parser.parse_args()
    rounds = 2 if arguments.quick else max(arguments.n, 1)
    # Ended like Ctrl-C, so that the children are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A file or a pipe has no width of its own, and the table needs this much.
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        run(console, arguments.work.expanduser(), rounds, arguments.markdown, arguments.json)
    except KeyboardInterrupt:
        sys.exit(130)


def run(console: Console, work: Path, rounds: int, markdown: Path | None, raw: Path | None) -> None:
    """Prepare, measure, and tell."""
    work.mkdir(parents=True, exist_ok=True)
    here = machine()
    results = measure.Results()
    with console.status("preparing the model and the pictures") as status:
        prepared = model.prepare(work)
        bench = measure.Bench(work, prepared, inputs.write_pictures(work), status.update)
        measure.starts(bench, rounds, results)
        measure.http(bench, rounds, results)
        measure.overhead(bench, rounds, results)
    tables = report.sections(results.samples)
    chosen = [f"{name}={os.environ[name]}" for name in measure.CHOICES if name in os.environ]
    results.notes += [f"set for this run: {', '.join(chosen)}"] if chosen else []
    notes = [f"{rounds} rounds, plain and ours in turn; medians.", *results.notes]
    console.print(", ".join(f"{name} {value}" for name, value in here.items()), highlight=False)
    report.render(console, tables)
    for note in notes:
        console.print(f"- {note}", highlight=False)
    if markdown is not None:
        markdown.write_text(report.markdown(here, notes, tables))
    if raw is not None:
        raw.write_text(
            json.dumps({"machine": here, "notes": notes, "samples": results.samples}, indent=1)
        )


if __name__ == "__main__":
    main()
