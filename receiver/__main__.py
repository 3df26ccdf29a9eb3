"""The command line: `tocsin serve`, `check`, `explain`, `test`, `simulate`, `oncall` and the others.

Heavy modules are imported by the command that needs them, so that `--help` answers at once.
"""

import argparse
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

DESCRIPTION = "Alertmanager webhook receiver and incident router."


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit status."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an answer in ASCII is better than none
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tocsin", description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service: web and workers in one process")
    _add_config(serve)
    _add_database(serve)
    serve.add_argument("--host", help="address to bind to (default 127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to bind to (default 5001)")
    serve.add_argument("--no-migrate", action="store_true", help="refuse to start on an older schema instead")
    serve.add_argument("--insecure", action="store_true", help="serve other hosts without any login")
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check", help="validate routing.yaml; say all that is wrong with it")
    check.add_argument("file", nargs="?", help="the file (default: TOCSIN_CONFIG or routing.yaml)")
    check.set_defaults(run=_check)

    explain = commands.add_parser("explain", help="who would hear of an alert, when, and why not the others")
    _add_config(explain)
    explain.add_argument("--at", metavar="RFC3339", help="the instant to ask about (default: now)")
    explain.add_argument("--json", action="store_true", help="print the answer as JSON")
    explain.add_argument("labels", nargs="*", metavar="label=value")
    explain.set_defaults(run=_explain)

    test = commands.add_parser("test", help="run policy tests")
    _add_config(test)
    test.add_argument("--json", action="store_true", help="print what every test found as JSON")
    test.add_argument("files", nargs="+", metavar="FILE")
    test.set_defaults(run=_test)

    drill = commands.add_parser(
        "test-alert", help="hold a drill through a running service, and show its receipt"
    )
    drill.add_argument("--url", help="where the service runs (default: TOCSIN_PUBLIC_URL, or host and port)")
    drill.add_argument(
        "--wait", type=float, default=30.0, metavar="SECONDS", help="for the receipt (default 30)"
    )
    drill.add_argument("--json", action="store_true", help="print the receipt as JSON")
    drill.add_argument("labels", nargs="*", metavar="label=value")
    drill.set_defaults(run=_test_alert)

    oncall = commands.add_parser(
        "oncall", help="who is on call in every schedule, until when, and who is next"
    )
    _add_config(oncall)
    _add_database(oncall)
    oncall.add_argument("--at", metavar="RFC3339", help="the instant to ask about (default: now)")
    oncall.add_argument("--json", action="store_true", help="print the answer as JSON")
    oncall.set_defaults(run=_oncall)

    _add_simulate(commands)
    _add_import(commands)

    again = commands.add_parser("replay", help="try again what was given up, through a running service")
    again.add_argument("--failed", action="store_true", help="all that was given up")
    again.add_argument("--actor", default="somebody", metavar="NAME", help="who asks, for the timeline")
    again.add_argument("--url", help="where the service runs (default: TOCSIN_PUBLIC_URL, or host and port)")
    again.add_argument("--json", action="store_true", help="print what became of each as JSON")
    again.add_argument("ids", nargs="*", type=int, metavar="ID", help="of notifications")
    again.set_defaults(run=_replay)

    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    _add_database(migrate)
    migrate.set_defaults(run=_migrate)
    return parser


def _add_simulate(commands: Any) -> None:
    simulate = commands.add_parser(
        "simulate", help="who would have been told differently by another configuration"
    )
    simulate.add_argument("--config", metavar="FILE", required=True, help="the configuration to try")
    _add_database(simulate)
    simulate.add_argument(
        "--since", required=True, metavar="TIME", help="how long ago, as 30d, or an instant"
    )
    simulate.add_argument("--until", metavar="TIME", help="the same, for the end (default: now)")
    simulate.add_argument("--json", action="store_true", help="print the answer as JSON")
    simulate.set_defaults(run=_simulate)


def _add_import(commands: Any) -> None:
    importing = commands.add_parser("import", help="translate an Alertmanager configuration")
    importing.add_argument("file", metavar="alertmanager.yml")
    importing.add_argument("-o", dest="output", metavar="FILE", help="write it there (default: print it)")
    importing.add_argument("--force", action="store_true", help="even where there is such a file")
    importing.set_defaults(run=_import)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="the policy (default: TOCSIN_CONFIG or routing.yaml)"
    )


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database", metavar="URL", help="sqlite:///FILE or postgresql://… (default sqlite:///tocsin.db)"
    )


def _say(*lines: str) -> int:
    """Print what is wrong; return the exit status for it."""
    for line in lines:
        print(line, file=sys.stderr)
    return 1


def _settings(options: argparse.Namespace) -> Any:
    """Return the settings; what the command line says counts more than the environment."""
    from receiver.config import settings

    names = {
        "config": "TOCSIN_CONFIG",
        "database": "TOCSIN_DATABASE_URL",
        "host": "TOCSIN_HOST",
        "port": "TOCSIN_PORT",
    }
    environ = dict(os.environ)
    for option, name in names.items():
        value = getattr(options, option, None)
        if value is not None:
            environ.pop(f"{name}_FILE", None)
            environ[name] = str(value)
    return settings(environ)


def _labels(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise SystemExit(_say(f'"{pair}" is not label=value'))
        labels[name] = value.strip('"')
    return labels


def _instant(text: str | None) -> datetime:
    from receiver.clock import SystemClock

    if text is None:
        return SystemClock().now().replace(microsecond=0)  # people read the answer
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise SystemExit(_say(f'"{text}" is not an instant; write it as 2026-03-02T10:00:00Z'))
    return instant


def _serve(options: argparse.Namespace) -> int:
    from receiver import logs
    from receiver.app import CannotStartError, run
    from receiver.config import ConfigError, load

    try:
        settings = _settings(options)
        logs.set_up(settings.log_level, settings.log_format or ("console" if sys.stderr.isatty() else "json"))
        load(settings.config, os.environ)
        run(settings, os.environ, migrations=not options.no_migrate, insecure=options.insecure)
    except ConfigError as error:
        return _say(*error.errors)
    except CannotStartError as error:
        return _say(str(error))
    return 0


def _check(options: argparse.Namespace) -> int:
    from receiver.config import check

    file = options.file or os.environ.get("TOCSIN_CONFIG") or "routing.yaml"
    errors, warnings = check(file, os.environ, _instant(None))
    _say(*errors, *warnings)
    if errors:
        return 1
    count = len(warnings)
    print(f"{file}: sound" + (f", with {count} warning{'s' if count > 1 else ''}" if warnings else ""))
    return 0


def _explain(options: argparse.Namespace) -> int:
    from receiver.config import ConfigError, load
    from receiver.explain import explain, in_words
    from receiver.terminal import pen_for

    try:
        config = load(_settings(options).config, os.environ)
    except ConfigError as error:
        return _say(*error.errors)
    answer = explain(config, _labels(options.labels), _instant(options.at))
    print(_json(answer) if options.json else in_words(answer, pen_for(sys.stdout, os.environ)))
    return 0


def _oncall(options: argparse.Namespace) -> int:
    from receiver.config import ConfigError, load
    from receiver.oncall import in_words, oncall
    from receiver.pipeline.rota import calendars_of, taken_over
    from receiver.store.database import DatabaseFailure, connect, reading, sqlite_file
    from receiver.terminal import pen_for

    try:
        settings = _settings(options)
        config = load(settings.config, os.environ)
    except ConfigError as error:
        return _say(*error.errors)
    at = _instant(options.at)
    found: Any = {}
    calendars: Any = {}
    file = sqlite_file(settings.database_url)
    if file is None or file.exists():
        try:
            with reading(connect(settings.database_url, writing=False)) as db:
                found, calendars = taken_over(db, config, at), calendars_of(db, config)
        except DatabaseFailure:
            _say("the database does not answer, so overrides and calendars are left out; see --database")
    answer = oncall(config, found, at, calendars)
    print(_json(answer) if options.json else in_words(answer, pen_for(sys.stdout, os.environ)))
    return 0


def _simulate(options: argparse.Namespace) -> int:
    from receiver import logs
    from receiver.config import ConfigError, load
    from receiver.differences import in_words
    from receiver.simulate import CannotReadError, simulate
    from receiver.terminal import pen_for

    now = _instant(None)
    since, until = _ago(options.since, now), _ago(options.until or "0s", now)
    logs.set_up("critical", "console")  # what the stages say is about a service, and this is none
    new, options.config = options.config, None  # the one in force is named by the environment
    try:
        settings = _settings(options)
        before, after = load(settings.config, os.environ), load(new, os.environ)
        answer = simulate(settings.database_url, since, until, before, after, _progress())
    except ConfigError as error:
        return _say(*error.errors)
    except CannotReadError as error:
        return _say(str(error))
    width = shutil.get_terminal_size((100, 24)).columns
    print(_json(answer) if options.json else in_words(answer, pen_for(sys.stdout, os.environ), width))
    return 0


def _ago(text: str, now: datetime) -> datetime:
    """Return an instant that is written as such, or as how long ago it was."""
    from receiver.policy.durations import parse_duration

    if text[:1].isdigit() and "-" not in text:
        try:
            return now - parse_duration(text)
        except (ValueError, OverflowError) as error:
            raise SystemExit(_say(str(error))) from None
    return _instant(text)


def _progress() -> Callable[[str, int, int], None]:
    """Return what says on standard error how far something long is, each time a thousand more are done."""
    is_watched = sys.stderr.isatty()

    def progress(what: str, count: int, of: int) -> None:
        if count % 1000 == 0 or (is_watched and (count % 50 == 0 or count == of)):
            end = "\r" if is_watched and count < of else "\n"
            print(f"{what}: {count} of {of} bodies", end=end, file=sys.stderr, flush=True)

    return progress


def _import(options: argparse.Namespace) -> int:
    from pathlib import Path

    from receiver.config import ConfigError, parse, text_of
    from receiver.translate import told, translate

    try:
        found = translate(text_of(options.file), options.file)
    except ConfigError as error:
        return _say(*error.errors)
    if options.output is None:
        print(found.text, end="")
    else:
        try:
            with Path(options.output).open("w" if options.force else "x", encoding="utf-8") as output:
                output.write(found.text)
        except FileExistsError:
            return _say(f"{options.output} is there already; name another file, or add --force")
        except OSError as error:
            return _say(f"{options.output} cannot be written: {(error.strerror or str(error)).lower()}")
    _say(*told(found.lost, options.file))
    try:
        parse(found.text, os.environ, options.output or "routing.yaml")
    except ConfigError as error:
        _say("what is still to be corrected in the result:", *error.errors)
    return 0


def _test(options: argparse.Namespace) -> int:
    from receiver.config import ConfigError, load
    from receiver.policy_tests import in_words, read, run
    from receiver.terminal import pen_for

    results, errors = [], []
    try:
        config = load(_settings(options).config, os.environ)
    except ConfigError as error:
        return _say(*error.errors)
    for file in options.files:
        try:
            results += run(config, read(file, os.environ))
        except ConfigError as error:
            errors += error.errors
    if errors:
        return _say(*errors)
    if options.json:
        print(_json([{name: one[name] for name in ("name", "passed", "actual")} for one in results]))
    else:
        print(in_words(results, pen_for(sys.stdout, os.environ)))
    return 0 if all(result["passed"] for result in results) else 1


def _test_alert(options: argparse.Namespace) -> int:
    from receiver.config import ConfigError
    from receiver.drill_client import hold, in_words, is_success
    from receiver.remote import NoAnswerError
    from receiver.terminal import pen_for

    try:
        url = options.url or _settings(options).base_url
        receipt = hold(url, _labels(options.labels), wait=options.wait)
    except ConfigError as error:
        return _say(*error.errors)
    except NoAnswerError as error:
        return _say(f"no drill: {error}")
    print(_json(receipt) if options.json else in_words(receipt, pen_for(sys.stdout, os.environ)))
    return 0 if is_success(receipt) else 1


def _replay(options: argparse.Namespace) -> int:
    from receiver.config import ConfigError
    from receiver.remote import NoAnswerError
    from receiver.replay_client import failed, in_words, is_success, replay
    from receiver.terminal import pen_for

    if bool(options.ids) == options.failed:
        return _say("say which notifications to try again: their ids, or --failed for all that were given up")
    try:
        url = options.url or _settings(options).base_url
        wishes = replay(url, failed(url) if options.failed else options.ids, options.actor)
    except ConfigError as error:
        return _say(*error.errors)
    except NoAnswerError as error:
        return _say(f"not replayed: {error}")
    print(_json(wishes) if options.json else in_words(wishes, pen_for(sys.stdout, os.environ)))
    return 0 if is_success(wishes) else 1


def _json(answer: Any) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False)


def _migrate(options: argparse.Namespace) -> int:
    from receiver.config import ConfigError
    from receiver.store.migrate import upgrade

    try:
        upgrade(_settings(options).database_url)
    except ConfigError as error:
        return _say(*error.errors)
    print("the database has the newest schema")
    return 0


if __name__ == "__main__":
    sys.exit(main())
