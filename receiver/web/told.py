"""Who was told of an incident, who was not, and why?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from receiver.config import Config
from receiver.pipeline.facts import REASON_TEXTS
from receiver.policy import routing
from receiver.policy.incident import Reason
from receiver.policy.outbox import NotificationState
from receiver.policy.routing import Node, walk

Facts = Mapping[str, Any]

TOLD, RETRYING, WAITS, FAILED, NOT_TOLD = "told", "retrying", "waits", "failed", "not told"
WORST_FIRST = (FAILED, RETRYING, WAITS, NOT_TOLD, TOLD)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether one destination was told, and why."""

    destination: str
    verdict: str
    why: str
    at: str | None = None  # when it was told or given up, or when it will be tried


@dataclass(frozen=True, slots=True)
class Branch:
    """One route of routing.yaml, and what it did for an incident."""

    name: str
    depth: int
    receiver: str | None
    policy: str | None  # the escalation policy that it names
    taken: bool
    why: str  # why the route matched, or did not
    answers: tuple[Answer, ...] = ()


def health(rows: Iterable[Facts]) -> dict[int, list[tuple[str, str]]]:
    """Return (destination, verdict) of each incident in a list, the worst first.

    What happened last counts: a destination that failed and was reached later was told.
    """
    places: dict[tuple[int, str], list[Facts]] = {}
    for row in sorted(rows, key=lambda row: row["newest"]):
        places.setdefault((row["incident_id"], row["destination"]), []).append(row)
    found: dict[int, list[tuple[str, str]]] = {}
    for (incident_id, destination), same in places.items():
        found.setdefault(incident_id, []).append((destination, _verdict(same)))
    return {id_: sorted(pairs, key=lambda pair: WORST_FIRST.index(pair[1])) for id_, pairs in found.items()}


def _verdict(rows: Sequence[Facts]) -> str:
    """Return what became of one destination, from its notifications, the newest last."""
    states, last = {row["state"] for row in rows}, rows[-1]
    if last["state"] == NotificationState.FAILED:
        return FAILED
    if NotificationState.SENT in states:
        return TOLD
    if NotificationState.FAILED in states:
        return FAILED
    if last["state"] == NotificationState.OWED:
        return RETRYING if last["attempts"] else WAITS
    return NOT_TOLD


def branches(config: Config, alerts: Sequence[Facts], notifications: Sequence[Facts]) -> list[Branch]:
    """Return every route of the tree in order: who was told through it, or why it did not match."""
    by_destination: dict[str, list[Facts]] = {}
    for one in notifications:
        by_destination.setdefault(one["destination"], []).append(one)
    said = _explained(config.tree, [alert["labels"] for alert in alerts])
    found = []
    for node in walk(config.tree):
        answer = said[node.path]
        taken = answer["taken"]
        found.append(
            Branch(
                name=node.name,
                depth=node.path.count(".routes["),
                receiver=node.receiver,
                policy=node.escalation_policy,
                taken=taken,
                why=answer["why"],
                answers=_answers(config, node, by_destination) if taken else (),
            )
        )
    return found


def others(config: Config, found: Sequence[Branch], notifications: Sequence[Facts]) -> list[Answer]:
    """Return those who were told, or were to be, through no route that matches now.

    They are the fallback, and what routing.yaml said before it was changed.
    """
    named = {answer.destination for branch in found for answer in branch.answers}
    apart: dict[str, list[Facts]] = {}
    for one in notifications:
        if one["destination"] not in named:
            apart.setdefault(one["destination"], []).append(one)
    return [_apart(config, rows) for rows in apart.values()]


def _explained(tree: Node, label_sets: Iterable[Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Return what each route says to the first alert it takes or matches, or else to the first it was asked.

    Alerts that agree on every label a matcher looks at get the same answer, so one of them is asked.
    """
    names = sorted({matcher.name for node in walk(tree) for matcher in node.matchers})
    asked = {tuple(labels.get(name, "") for name in names): labels for labels in label_sets}
    said: dict[str, dict[str, Any]] = {}
    for labels in list(asked.values()) or [{}]:
        for answer in routing.explain(tree, labels):
            earlier = said.setdefault(answer["path"], answer)
            if (answer["taken"], answer["matched"]) > (earlier["taken"], earlier["matched"]):
                said[answer["path"]] = answer
    below = {"matched": False, "taken": False, "why": "the route above it did not match"}
    return {node.path: said.get(node.path, below) for node in walk(tree)}


def _answers(config: Config, node: Node, rows: Mapping[str, list[Facts]]) -> tuple[Answer, ...]:
    names = [one.name for one in config.destinations_of(node.receiver or "")]
    if node.escalation_policy:
        told = [name for name, its in rows.items() if any(row["route"] == node.name for row in its)]
        names = list(dict.fromkeys([*names, *told]))
    return tuple(_answer(name, node.name, rows.get(name, [])) for name in names)


def _answer(destination: str, route: str, rows: list[Facts]) -> Answer:
    """Return what became of one destination; what it was told through another route counts as well."""
    if not rows:
        return Answer(
            destination, NOT_TOLD, "nothing was owed to it; the route may be newer than the incident"
        )
    by_state = {state: [row for row in rows if row["state"] == state] for state in NotificationState}
    sent, last = by_state[NotificationState.SENT], rows[-1]
    verdict = _verdict(rows)
    if verdict == TOLD:
        through = "" if sent[0]["route"] == route else f", through the route {sent[0]['route']}"
        times = f"; {len(sent)} messages in all" if len(sent) > 1 else ""
        why = f"{_because(sent[0])}{through}{times}{_next(by_state[NotificationState.OWED])}"
        return Answer(destination, TOLD, why, sent[0]["finished_at"])
    return Answer(destination, verdict, _why_not(last), last["finished_at"] or last["due_at"])


def _apart(config: Config, rows: list[Facts]) -> Answer:
    answer = _answer(rows[0]["destination"], rows[0]["route"], rows)
    missed = next((row["fallback_for"] for row in rows if row["fallback_for"]), None)
    if missed:
        said = answer.why.removeprefix(REASON_TEXTS[Reason.FALLBACK]).removeprefix("; ")
        why = f"in place of {missed}, which could not be reached" + (f"; {said}" if said else "")
    elif rows[0]["destination"] not in config.destinations:
        why = f"routing.yaml no longer has it; {answer.why}"
    else:
        why = f"through the route {rows[0]['route']}; {answer.why}"
    return Answer(answer.destination, answer.verdict, why, answer.at)


def _because(row: Facts) -> str:
    reason = row["reason"]
    return REASON_TEXTS[Reason(reason)] if reason in set(Reason) else str(reason)


def _why_not(row: Facts) -> str:
    """Return why a notification waits, was withdrawn or failed."""
    why = row["why"] or _because(row)
    answer = row["tries"][-1]["answer"] if row["tries"] else ""
    return why if answer in why else f"{why}; the service answered: {answer}"


def _next(owed: list[Facts]) -> str:
    if not owed:
        return ""
    if owed[0]["reason"] == Reason.REPEAT_DUE:
        due = owed[0]["due_at"][:16].replace("T", " ")
        return f"; a reminder goes out at {due} UTC if it still fires and nobody is on it"
    why = f" ({owed[0]['why']})" if owed[0]["why"] else ""
    return f"; to be told next: {_because(owed[0])}{why}"
