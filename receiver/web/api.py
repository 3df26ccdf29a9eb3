"""What can a program ask, and tell us to do? JSON, described by /openapi.json."""

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from secrets import token_hex
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from receiver.channels import KINDS
from receiver.config import Config
from receiver.explain import explain
from receiver.pipeline import forecast, rota
from receiver.pipeline.act import Action
from receiver.pipeline.drill import Exercise, receipt
from receiver.pipeline.duty import Duty
from receiver.pipeline.facts import alert_facts, incident_facts, instant, runbook_url
from receiver.pipeline.quiet import Quiet
from receiver.pipeline.replay import Again
from receiver.policy.durations import Duration, parse_duration
from receiver.policy.incident import Reason, State, Verb
from receiver.policy.matching import matches
from receiver.policy.outbox import NotificationState
from receiver.services import Services
from receiver.store import escalations, incidents, outbox, payloads, silences
from receiver.store.database import Db
from receiver.web import shapes
from receiver.web.common import MOST_ITEMS, USUAL_ITEMS, actor_of, clean, cursor, matchers, page, services_of
from receiver.web.shapes import described

router = APIRouter()
Held = Annotated[Services, Depends(services_of)]
Cursor = Annotated[str | None, Query(alias="cursor", description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS)]
Incident = dict[str, Any]

MOST_SCANNED = 5_000  # incidents that one request looks through for matchers a database cannot answer
DRILL_ENDS_AFTER = parse_duration("5m")
LONGEST_DRILL = parse_duration("1w")
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # beyond these, hours have no next change to look for
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
DRILL_LABELS = {"alertname": "TocsinDrill"}


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside of the calendar") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Said(BaseModel):
    """What a person adds to an action."""

    model_config = ConfigDict(extra="forbid")

    actor: str | None = Field(default=None, max_length=100, description="Who acts.")
    text: str = Field(default="", max_length=10_000, description="Why; for `note`, the note.")
    person: str | None = Field(default=None, max_length=100, description="For `assign`: who hears of it.")
    add: bool = Field(default=False, description="For `assign`: the escalation goes on as well.")
    until: Instant | None = Field(
        default=None,
        lt=LATEST,
        description="For `snooze`: when the quiet ends; RFC 3339, in an hour when absent.",
    )


class Asker(BaseModel):
    """Who asks for something."""

    model_config = ConfigDict(extra="forbid")

    actor: str | None = Field(default=None, max_length=100, description="Who asks.")


class Wish(BaseModel):
    """A drill to hold."""

    model_config = ConfigDict(extra="forbid")

    labels: dict[str, str] = Field(default_factory=dict, description="Routed like those of any alert.")
    annotations: dict[str, str] = Field(default_factory=dict)
    channels: list[str] = Field(default_factory=list, description="Tell only these kinds of channel.")
    dry_run: bool = Field(default=False, description="Answer with the plan, and do nothing.")
    resolve_after: Duration = Field(
        default=DRILL_ENDS_AFTER, le=LONGEST_DRILL, description="When the drill ends by itself."
    )


class Question(BaseModel):
    """Who would hear of this?"""

    model_config = ConfigDict(extra="forbid")

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    at: Instant | None = Field(default=None, gt=EARLIEST, lt=LATEST, description="RFC 3339; now when absent.")


@router.get(
    "/api/v1/incidents",
    tags=["incidents"],
    summary="List incidents, newest first.",
    responses=described(shapes.Incidents, 422, 503),
)
async def list_incidents(
    services: Held,
    state: Annotated[list[State] | None, Query(description="Several are allowed.")] = None,
    severity: Annotated[list[str] | None, Query()] = None,
    q: Annotated[str | None, Query(max_length=200, description="Part of the title.")] = None,
    match: Annotated[list[str] | None, Query(description="Matchers as in Alertmanager.")] = None,
    since: Instant | None = None,
    until: Instant | None = None,
    drill: bool | None = None,
    cursor_: Cursor = None,
    limit: Limit = USUAL_ITEMS,
) -> dict[str, Any]:
    """Return one page of the incidents that fit every filter."""
    wanted = matchers(match or [])
    found: list[Incident] = []
    before, scanned = cursor(cursor_), 0
    while len(found) <= limit and scanned < MOST_SCANNED:
        size = limit + 1 if not wanted else MOST_ITEMS
        rows = await services.read(
            incidents.newest, before=before, limit=size, states=state or [], severities=severity or [],
            drill=drill, since=since, until=until, words=q,
            equalities={one.name: one.value for one in wanted if one.op == "=" and one.value},
        )  # fmt: skip
        found += [row for row in rows if matches(wanted, row["labels"])]
        scanned += len(rows)
        if len(rows) < size:
            break
        before = rows[-1]["id"]
    answer = page(found, limit)
    if scanned >= MOST_SCANNED and answer["next"] is None:
        answer["next"] = str(before)
    return {**answer, "items": [incident_facts(row, services.settings.base_url) for row in answer["items"]]}


@router.get(
    "/api/v1/incidents/{incident_id}",
    tags=["incidents"],
    summary="Show an incident in full.",
    responses=described(shapes.IncidentInFull, 404, 422, 503),
)
async def show_incident(services: Held, incident_id: int) -> dict[str, Any]:
    """Return an incident with its alerts, timeline, notifications and plan."""
    found = await services.read(whole, incident_id, services)
    if found is None:
        raise HTTPException(404, f"there is no incident {incident_id}")
    return found


def whole(db: Db, incident_id: int, services: Services) -> dict[str, Any] | None:
    """Return an incident in full, None where there is no such.

    In full, `alerts` is the list of them; the counts of the short form are `alert_counts`.
    """
    row = incidents.find(db, incident_id)
    if row is None:
        return None
    alerts = incidents.alerts(db, [incident_id])
    notifications = outbox.of_incident(db, incident_id)
    short = incident_facts(row, services.settings.base_url)
    now = services.clock.now()
    quiet = Quiet(db, services.config, now)
    return {
        **short,
        "alert_counts": short["alerts"],
        "upstream_quiet": row["upstream"].get("quiet", []),
        "runbook_url": runbook_url(row["annotations"], alerts),
        "alerts": [alert_facts(alert) for alert in alerts],
        "quiet": [{**one, "until": instant(one["until"])} for one in quiet.reasons(row, alerts)],
        "timeline": [_line(line) for line in incidents.timeline(db, incident_id)],
        "notifications": [notification_facts(one) for one in notifications],
        "plan": _plan(db, services.config, row, notifications, now),
    }


def _plan(
    db: Db, config: Config, row: dict[str, Any], notifications: Sequence[dict[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    """Return what is owed, and whom the escalation policies tell next; soonest first."""
    duty = Duty(config, rota.taken_over(db, config, now))
    steps = forecast.of_incident(config, duty, row, escalations.of(db, [row["id"]]).get(row["id"], ()))
    found = [
        {"at": one["due_at"], "to": one["destination"], "reason": one["reason"], "why": one["why"]}
        for one in notifications
        if one["state"] == NotificationState.OWED
    ]
    found += [
        {"at": one.at, "to": one.page.destination, "reason": Reason.ESCALATED, "why": one.why}
        for one in steps
    ]
    return [{**one, "at": instant(one["at"])} for one in sorted(found, key=itemgetter("at"))]


def _line(line: dict[str, Any]) -> dict[str, Any]:
    return {"at": instant(line["at"]), "kind": line["kind"], "actor": line["actor"], "text": line["text"]}


def notification_facts(row: dict[str, Any]) -> dict[str, Any]:
    """Return a notification as the API shows it."""
    return {
        "id": row["id"],
        "incident_id": row["incident_id"],
        "destination": row["destination"],
        "receiver": row["receiver"],
        "route": row["route"],
        "reason": row["reason"],
        "state": row["state"],
        "why": row["why"],
        "attempts": row["attempts"],
        "created_at": instant(row["created_at"]),
        "due_at": instant(row["due_at"]),
        "finished_at": instant(row["finished_at"]),
        "fallback_for": row["fallback_for"],
        "tries": [
            {"n": one["n"], "at": instant(one["at"]), "took_seconds": one["took"], "outcome": one["outcome"],
             "answer": one["answer"]}
            for one in row.get("tries", ())
        ],
    }  # fmt: skip


@router.post(
    "/api/v1/incidents/{incident_id}/{action}",
    tags=["incidents"],
    summary="Act on an incident.",
    responses=described(shapes.Incident, 403, 404, 409, 413, 422, 503),
)
async def act_on_incident(
    services: Held, incident_id: int, action: Verb, said: Annotated[Said | None, Body()] = None
) -> dict[str, Any]:
    """Carry out what a person wants; a wish that is fulfilled already changes nothing."""
    said = said or Said()
    if action is Verb.NOTE and not said.text.strip():
        raise HTTPException(422, "a note needs `text`")
    now = services.clock.now()
    if said.until is not None and said.until <= now:
        raise HTTPException(422, "until: lies in the past; write a time that is still to come")
    if action is Verb.ASSIGN:
        assignable(services.config, said.person)
    if action is Verb.ESCALATE:
        await _has_steps(services, incident_id)
    wish = Action(
        incident_id, action, actor_of(said.actor), clean(said.text), now, until=said.until,
        person=said.person, adds=said.add,
    )  # fmt: skip
    row = await services.act(wish)
    if row is None:
        raise HTTPException(404, f"there is no incident {incident_id}")
    return incident_facts(row, services.settings.base_url)


def assignable(config: Config, person: str | None) -> str:
    """Return the person; refuse one who cannot be told."""
    contacts = config.contacts_of(person or "")
    if person is None or contacts is None:
        known = ", ".join(one.name for one in config.people) or "none yet; write them under `people`"
        raise HTTPException(422, f"person: name one of the people in routing.yaml: {known}")
    if not contacts:
        raise HTTPException(422, f"person: {person} has no contact that can be told")
    return person


async def _has_steps(services: Services, incident_id: int) -> None:
    """Refuse to escalate what no policy is at work on; one that is unknown is refused later."""
    row = await services.read(incidents.find, incident_id)
    if row is not None and not await services.read(escalations.of, [incident_id]):
        raise HTTPException(409, f"no escalation policy is at work on incident {incident_id}; assign it")


@router.get(
    "/api/v1/notifications",
    tags=["notifications"],
    summary="List the outbox.",
    responses=described(shapes.Notifications, 422, 503),
)
async def list_notifications(
    services: Held,
    state: Annotated[list[NotificationState] | None, Query()] = None,
    cursor_: Cursor = None,
    limit: Limit = USUAL_ITEMS,
) -> dict[str, Any]:
    """Return notifications, newest first; `state=failed` are the dead letters."""
    rows = await services.read(
        outbox.newest, before=cursor(cursor_), limit=limit + 1, states=tuple(state or ())
    )
    answer = page(rows, limit)
    return {**answer, "items": [notification_facts(row) for row in answer["items"]]}


@router.post(
    "/api/v1/notifications/{notification_id}/replay",
    tags=["notifications"],
    summary="Try a dead letter again.",
    responses=described(shapes.Notification, 403, 404, 409, 413, 422, 503),
)
async def replay_notification(
    services: Held, notification_id: int, said: Annotated[Asker | None, Body()] = None
) -> dict[str, Any]:
    """Owe once more what was given up; one that is owed already changes nothing."""
    actor = actor_of(said.actor if said else None)
    row = await services.replay(Again(notification_id, actor, services.clock.now()))
    if row is None:
        raise HTTPException(404, f"there is no notification {notification_id}")
    if row["state"] != NotificationState.OWED:
        raise HTTPException(409, f"notification {notification_id} was not given up: it is {row['state']}")
    return notification_facts(row)


@router.get(
    "/api/v1/quarantine",
    tags=["ingest"],
    summary="List what was not understood.",
    responses=described(shapes.Quarantine, 422, 503),
)
async def list_quarantine(
    services: Held,
    cursor_: Cursor = None,
    limit: Limit = USUAL_ITEMS,
) -> dict[str, Any]:
    """Return bodies that could not be understood, newest first, as text."""
    rows = await services.read(payloads.quarantined, before=cursor(cursor_), limit=limit + 1)
    answer = page(rows, limit)
    return {**answer, "items": [
        {"id": row["id"], "received_at": instant(row["received_at"]), "source": row["source"],
         "why": row["why"], "body": bytes(row["body"]).decode("utf-8", "replace")}
        for row in answer["items"]
    ]}  # fmt: skip


@router.post(
    "/api/v1/explain",
    tags=["explain"],
    summary="Who would hear of this, when, and why?",
    responses=described(shapes.Explanation, 403, 413, 422, 503),
)
async def explain_alert(services: Held, question: Question) -> dict[str, Any]:
    """Return which routes match, which do not and why, whether hours are open, and the plan."""
    at = question.at or services.clock.now()
    taken_over = await services.read(rota.taken_over, services.config, at)
    known = await services.read(silences.not_over, at)
    return explain(services.config, question.labels, at, silences=known, overrides=taken_over)


@router.post(
    "/test-alert",
    status_code=202,
    tags=["drills"],
    summary="Hold a drill.",
    responses=described(shapes.DrillBegun, 403, 413, 422, 503, status=202),
)
async def hold_drill(services: Held, wish: Annotated[Wish | None, Body()] = None) -> dict[str, Any]:
    """Send an alert of our own the whole way, marked as a drill; it ends by itself."""
    wish = wish or Wish()
    unknown = sorted(set(wish.channels) - set(KINDS))
    if unknown:
        raise HTTPException(
            422, f"no channel is called {', '.join(unknown)}; there are {', '.join(sorted(KINDS))}"
        )
    now = services.clock.now()
    labels = {clean(name): clean(value) for name, value in wish.labels.items() if value} or DRILL_LABELS
    labels = {"alertname": DRILL_LABELS["alertname"], **labels}
    annotations = {clean(name): clean(value) for name, value in wish.annotations.items()}
    annotations = annotations or {"summary": "A drill: nothing is wrong, and nothing needs to be done."}
    taken_over = await services.read(rota.taken_over, services.config, now)
    known = await services.read(silences.not_over, now)
    answer = explain(services.config, labels, now, silences=known, overrides=taken_over)
    if wish.dry_run:
        return {"drill_id": None, "incident_id": None, "plan": answer["plan"], "links": {}}
    drill_id = token_hex(8)
    exercise = Exercise(drill_id, labels, annotations, tuple(wish.channels), wish.resolve_after, now)
    incident_id = await services.drill(exercise)
    base = services.settings.base_url
    links = {"drill": f"{base}/api/v1/drills/{drill_id}", "incident": f"{base}/incidents/{incident_id}"}
    return {"drill_id": drill_id, "incident_id": incident_id, "plan": answer["plan"], "links": links}


@router.get(
    "/api/v1/drills/{drill_id}",
    tags=["drills"],
    summary="What became of a drill?",
    responses=described(shapes.Receipt, 404, 503),
)
async def show_drill(services: Held, drill_id: str) -> dict[str, Any]:
    """Return, for each destination: delivered or not, attempts, the service's answer and the latency."""
    found = await services.read(receipt, drill_id)
    if found is None:
        raise HTTPException(404, f"there is no drill {drill_id[:64]}")
    return found


@router.post(
    "/-/reload",
    tags=["operations"],
    summary="Read routing.yaml again.",
    responses=described(shapes.Reloaded, 403, 422, 503),
)
async def reload(services: Held) -> dict[str, Any]:
    """Take the file into force if it is sound; a faulty one changes nothing."""
    errors = await services.reload()
    if errors:
        raise HTTPException(422, "routing.yaml was refused, the one in force stays: " + "; ".join(errors))
    return {"status": "reloaded"}
