"""Measure, in rounds that take turns, and print what came out."""

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path

from benchmarks.measures import ROUNDS, Bench, Numbers
from benchmarks.programs import ROOT, machine, run_sink
from benchmarks.report import judged, table, write

PAGE = ROOT / "docs" / "performance.md"


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=ROUNDS, help="may be given several times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stored", type=int, default=1_000_000, help="incidents in the long history")
    parser.add_argument("--json", type=Path, help="write every number of every round there")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--check", action="store_true", help="exit 1 when a must is missed or missing")
    return parser.parse_args()


def run(given: argparse.Namespace, bench: Bench) -> tuple[dict[str, list[Numbers]], dict[str, str]]:
    """Return the numbers of each round, and why a measure could not run."""
    measured: dict[str, list[Numbers]] = {}
    failed: dict[str, str] = {}
    names = given.only or list(ROUNDS)
    for turn in range(given.rounds):
        for name in names:
            if name in failed:
                continue
            began_at = time.perf_counter()
            try:
                numbers = ROUNDS[name](bench)
            except Exception as error:  # noqa: BLE001 - one measure that cannot run says so and stops no other
                failed[name] = str(error).strip().splitlines()[-1]  # of a traceback the last line says most
                print(f"{name}: could not run: {error}", file=sys.stderr, flush=True)
                continue
            measured.setdefault(name, []).append(numbers)
            took = time.perf_counter() - began_at
            said = "; ".join(f"{number} {value:,.1f}" for number, value in numbers.items())
            print(
                f"round {turn + 1} of {given.rounds}, {name} ({took:.0f} s): {said}",
                file=sys.stderr,
                flush=True,
            )
    return measured, failed


def main() -> int:
    """Return 0, or 1 where `--check` found something missed."""
    given = arguments()
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, stack.enter_context(run_sink()), given.stored)
        measured, failed = run(given, bench)
        facts = machine(bench.postgresql)
    command = " ".join(
        ["python -m benchmarks", *(word for word in sys.argv[1:] if word not in {"--write", "--check"})]
    )
    text = table(measured, failed, facts, command)
    print(text)
    if given.json:
        given.json.write_text(json.dumps({"machine": facts, "rounds": measured, "failed": failed}, indent=1))
    if given.write:
        write(text, PAGE)
    missed = [measure.what for measure, _, verdict in judged(measured) if "missed" in verdict]
    return 1 if given.check and (missed or failed) else 0


if __name__ == "__main__":
    sys.exit(main())
