"""How do many rounds become one table that can be believed?"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.measures import MEASURES, Measure, Numbers

BEGIN = "<!-- benchmarks: begin; `make bench` with --write replaces what follows -->"
END = "<!-- benchmarks: end -->"


def medians(rounds: Sequence[Numbers]) -> Numbers:
    """Return the median of each number over the rounds."""
    return {name: statistics.median(numbers[name] for numbers in rounds) for name in rounds[0]}


def judged(measured: Mapping[str, Sequence[Numbers]]) -> list[tuple[Measure, float, str]]:
    """Return each line whose rounds ran, with its result and verdict."""
    lines = []
    for measure in MEASURES:
        if rounds := measured.get(measure.name):
            result = measure.result(medians(rounds))
            lines.append((measure, result, measure.verdict(result)))
    return lines


def table(
    measured: Mapping[str, Sequence[Numbers]], failed: Mapping[str, str], machine: str, command: str
) -> str:
    """Return the report as Markdown: the judgement, then the numbers behind it."""
    lines = ["| measure | must | aim | result | verdict |", "|---|---|---|---|---|"]
    for measure, result, verdict in judged(measured):
        sign = "≥" if measure.more_is_better else "≤"
        must, aim = (
            "-" if bound is None else f"{sign} {_shown(bound, measure.unit)}"
            for bound in (measure.must, measure.aim)
        )
        lines.append(f"| {measure.what} | {must} | {aim} | {_shown(result, measure.unit)} | {verdict} |")
    lines += [f"| {name} | | | could not run: {why} | **missing** |" for name, why in failed.items()]
    lines += ["", "| number | median | lowest | highest | rounds |", "|---|---|---|---|---|"]
    for name, rounds in measured.items():
        for number, median in medians(rounds).items():
            values = [numbers[number] for numbers in rounds]
            shown = " | ".join(_number(value) for value in (median, min(values), max(values)))
            lines.append(f"| {name}: {number} | {shown} | {len(values)} |")
    return "\n".join([f"`{command}` on {machine}.", "", *lines])


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f} x" if unit == "x" else f"{_number(value)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(text: str, page: Path) -> None:
    """Put the report between its two marks on a page, or at its end."""
    old = page.read_text() if page.exists() else "# How fast Tocsin is\n"
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2]
    page.parent.mkdir(exist_ok=True)
    page.write_text(f"{before.rstrip()}\n\n{BEGIN}\n{text}\n{END}\n{after.lstrip()}")
