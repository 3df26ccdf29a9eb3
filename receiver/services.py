"""What does one running process hold, and how do its drivers ask the pipeline for something?"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import anyio.to_thread
import structlog
from sqlalchemy import Engine

from receiver import metrics
from receiver.channels.base import Channel, ChannelConfig, Forged, Heard, Hears, Inbound
from receiver.channels.client import Client
from receiver.clock import Clock
from receiver.config import Config, ConfigError, Settings, load
from receiver.pipeline import (
    act,
    audit,
    deliver,
    drill,
    escalate,
    hand_over,
    heartbeat,
    ingest,
    late,
    reconcile,
    record,
    replay,
    review,
    rota,
    silence,
)
from receiver.pipeline.act import Action
from receiver.pipeline.admit import Claim
from receiver.pipeline.audit import Jump, Wish
from receiver.pipeline.deliver import Claimed, Delivery, Result
from receiver.pipeline.drill import Exercise
from receiver.pipeline.ingest import Accepted, Body, Misfit, Received
from receiver.pipeline.reconcile import Finding
from receiver.pipeline.replay import Again
from receiver.pipeline.rota import Reading
from receiver.pipeline.silence import Made
from receiver.policy.incident import State, Verb
from receiver.policy.links import Link
from receiver.policy.payload import Said
from receiver.store import leases, outbox, secrets
from receiver.store.database import DatabaseFailure, Db, Stage, Writer, reading
from receiver.templating import Templates

log = structlog.get_logger()
Answer = TypeVar("Answer")

AGAIN = timedelta(seconds=1)  # until a result is offered to the database once more


Identity = tuple[int, int, int]


def identity_of(file: str) -> Identity | None:
    """Return what changes when a file does, whether it is written, replaced or a link to it is swapped."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@dataclass
class Services:
    """Everything a driver needs; the configuration in force is replaced by a reload, nothing else is."""

    settings: Settings
    environ: dict[str, str] = field(repr=False)  # holds secrets
    config: Config
    clock: Clock
    writer: Writer
    readers: Engine
    client: Client
    channels: dict[str, Channel]
    templates: Templates
    owed: asyncio.Event = field(default_factory=asyncio.Event)  # set when something became owed
    reload_errors: list[str] = field(default_factory=list)  # of the last routing.yaml that was refused
    has_steps: bool = False  # more steps are due than one commit takes
    signing_key: bytes = field(default=b"", repr=False)  # of the links in messages; empty before `prepare`
    read_as: Identity | None = None  # what identified routing.yaml when it was read
    watched_at: float | None = None  # on the clock that never jumps: when the worker last looked, and wrote
    uniform: Callable[[float, float], float] = random.uniform

    async def read(self, question: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:
        """Return the answer to a question to the database, asked in a thread."""

        def ask() -> Answer:
            with reading(self.readers) as db:
                return question(db, *arguments, **named)

        return await anyio.to_thread.run_sync(ask)

    async def take(self, body: Body) -> Accepted:
        """Take a body in; return after the commit. Errors: NotJson, NotUsable."""
        coming = self.writer.submit(self._take, body, weight=len(body.content) + 1)
        self.owed.set()  # the worker's claim lands behind the body, and so in the same commit
        accepted: Accepted = await coming
        return accepted

    async def ingest(self, received: Received) -> Accepted:
        """Take in what was said; return after the commit."""
        accepted: Accepted = await self.writer.submit(self._ingest, received)
        self.owed.set()
        return accepted

    async def set_aside(self, misfit: Misfit) -> None:
        """Keep what could not be understood, and raise a self-alarm."""
        await self.writer.submit(self._set_aside, misfit, weight=len(misfit.body) + 1)
        self.owed.set()

    async def drill(self, exercise: Exercise) -> int:
        """Begin a drill; return the id of its incident."""
        incident_id: int = await self.writer.submit(self._drill, exercise)
        self.owed.set()
        return incident_id

    async def act(self, action: Action) -> dict[str, Any] | None:
        """Carry out what a person wants; return the incident as it is then, None where there is no such."""
        row: dict[str, Any] | None = await self.writer.submit(self._act, action)
        self.owed.set()
        return row

    async def override(self, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take schedules over for a while, all of it or nothing; return the overrides."""
        rows: list[dict[str, Any]] = await self.writer.submit(self._override, made)
        return rows

    async def end_override(self, id_: int) -> dict[str, Any] | None:
        """End an override; return it, None where there is no such."""
        row: dict[str, Any] | None = await self.writer.submit(self._end_override, (id_, self.clock.now()))
        return row

    async def silence(self, made: Made) -> dict[str, Any]:
        """Keep what matches quiet until a time; return the silence."""
        row: dict[str, Any] = await self.writer.submit(self._silence, made)
        log.info("silence.made", id=row["id"], by=row["made_by"], hides=len(made.hidden))
        self.owed.set()
        return row

    async def move_end(self, id_: int, ends_at: datetime | None, actor: str) -> dict[str, Any] | None:
        """Let a silence end then, or now; return it, None where there is no such."""
        wish = (id_, ends_at, self.clock.now())
        row: dict[str, Any] | None = await self.writer.submit(self._move_end, wish)
        if row is not None:
            log.info("silence.end_moved", id=id_, by=actor, ends_at=row["ends_at"].isoformat())
        self.owed.set()
        return row

    async def prepare(self) -> None:
        """Find the key that links are signed with: the one we were given, else one of our own."""
        given = self.settings.secret_key
        key = given.get_secret_value() if given else await self.writer.submit(self._own_key, token_hex(32))
        self.signing_key = key.encode()

    def hear(self, kind: str, inbound: Inbound) -> list[Heard]:
        """Return what people said, where it is the service that tells it. Errors: Forged."""
        channel = self.channels[kind]
        if not isinstance(channel, Hears):
            raise Forged(f"nobody answers through {kind}")
        return channel.hear(inbound, self.configs_of(kind))

    async def heard(self, kind: str, answers: Sequence[Heard]) -> list[tuple[Heard, str]]:
        """Do what people said; return each answer and what came of it."""
        return [(heard, await self._do(kind, heard)) for heard in answers]

    async def confirm(self, kind: str, done: Sequence[tuple[Heard, str]]) -> None:
        """Tell people in the service what came of their answers."""
        channel = self.channels[kind]
        for heard, said in done:
            if isinstance(channel, Hears):
                await channel.confirm(heard, said, self.configs_of(kind))

    def configs_of(self, kind: str) -> list[ChannelConfig]:
        """Return the config of each destination of one kind."""
        return [one.config for one in self.config.destinations.values() if one.kind == kind]

    async def _do(self, kind: str, heard: Heard) -> str:
        metrics.ANSWERS.labels(kind, heard.verb).inc()
        incident_id = heard.incident_id
        if incident_id is None and heard.dedup_key is not None:
            incident_id = await self.read(outbox.incident_told_as, kind, heard.dedup_key)
        if incident_id is None:
            return "there is no open incident of this name"
        now = self.clock.now()
        actor = self.config.person_at(*heard.contact) or heard.person or "somebody"
        until = now + heard.lasts if heard.lasts else None
        action = Action(
            incident_id, heard.verb, actor, heard.text, now,
            via=kind, key=heard.key, until=until, said_at=heard.said_at,
        )  # fmt: skip
        return _came_of(await self.act(action), heard.verb, actor)

    async def answer(self, link: Link) -> dict[str, Any] | None:
        """Do what a link in a message says; return the incident as it is then, None where there is none."""
        kind, _, address = link.destination.partition(" ")
        actor = self.config.person_at(kind, address) or link.destination
        return await self.act(Action(link.incident_id, link.verb, actor, "", self.clock.now(), via=kind))

    async def review(self, now: datetime) -> int:
        """Change the incidents whose time has come; return how many."""
        count: int = await self.writer.submit(self._review, now)
        if count:
            self.owed.set()
        return count

    async def look_after(self, now: datetime) -> int:
        """Tell the fallback what is late, and say why things wait; return how many were late."""
        count: int = await self.writer.submit(self._late, now)
        if count:
            self.owed.set()
        return count

    async def watch(self, now: datetime) -> int:
        """Notice what should be heard and is not; return how many alarms that began or ended."""
        count: int = await self.writer.submit(self._watch, now)
        self.watched_at = self.clock.elapsed()
        if count:
            self.owed.set()
        return count

    async def hand_over(self, now: datetime) -> None:
        """Tell whoever came on call what is open."""
        if await self.writer.submit(self._hand_over, now):
            self.owed.set()

    async def repair(self, wish: Wish) -> int:
        """Have somebody hear of stranded incidents; return how many there were."""
        count: int = await self.writer.submit(self._repair, wish)
        self.owed.set()
        return count

    async def note_jump(self, jump: Jump) -> None:
        """Do what a jump of the clock asks for."""
        await self.writer.submit(self._jump, jump)
        self.owed.set()

    async def reconcile(self, finding: Finding) -> int:
        """Apply what Alertmanager said; return how many alerts are over."""
        count: int = await self.writer.submit(self._reconcile, finding)
        self.owed.set()
        return count

    async def note_calendar(self, reading: Reading) -> None:
        """Remember what a calendar says, or why it could not be read."""
        await self.writer.submit(self._note_calendar, reading)

    async def raise_alarm(self, alarm: Said) -> None:
        """Raise a self-alarm."""
        await self.ingest(Received(alarm, None))

    async def replay(self, wish: Again) -> dict[str, Any] | None:
        """Try again what was given up; return the notification, None where there is no such."""
        row: dict[str, Any] | None = await self.writer.submit(self._replay, wish)
        self.owed.set()
        return row

    async def claim(self, wish: Claim) -> Claimed:
        """Take what is due, with what the steps that are due bring: they share the commit."""
        stepping = self.writer.submit(self._escalate, wish.now)
        claimed: Claimed = await self.writer.submit(self._claim, wish)
        try:
            self.has_steps = await stepping >= escalate.BATCH
            if self.has_steps:
                self.owed.set()
        except Exception:
            log.exception("escalation.failed")  # what was claimed goes out all the same
        return claimed

    async def deliver(self, delivery: Delivery) -> Result:
        """Try to deliver once, and write down how that ended."""
        result = await deliver.send(
            delivery,
            self.channels,
            self.templates,
            self.clock,
            base_url=self.settings.base_url,
            signing_key=self.signing_key,
            uniform=self.uniform,
        )
        kind = delivery.notification["destination"].split(" ", 1)[0]
        metrics.ATTEMPTS.labels(kind, result.outcome).inc()
        metrics.ATTEMPT_SECONDS.labels(kind).observe(result.took)
        if record.is_news(result):
            more = any(await asyncio.gather(self._write_down(result), self._weigh_up(result)))
        else:
            more = await self._write_down(result)
        if more:
            self.owed.set()  # the conversation goes on, or the service is back
        return result

    async def _write_down(self, result: Result) -> bool:
        """Record how an attempt ended; while the database is away try again, as long as the lease lasts.

        What was sent and is not recorded would be sent twice.
        """
        until = result.delivery.notification["claimed_until"]
        while True:
            try:
                return bool(await self.writer.submit(self._record, result))
            except DatabaseFailure:
                if self.clock.now() + AGAIN >= until:
                    raise
            await self.clock.sleep(AGAIN.total_seconds())

    async def _weigh_up(self, result: Result) -> bool:
        """Note what an attempt says about its service; where that fails, the next one says it again."""
        try:
            return bool(await self.writer.submit(self._weigh, result))
        except DatabaseFailure as error:
            log.warning("breaker.not_recorded", error=type(error).__name__)
            return False

    async def release(self, delivery: Delivery) -> None:
        """Let go of a notification that will not be tried now."""
        await self.writer.submit(self._release, (delivery, self.clock.now()))

    async def hold(self, name: str, holder: str, lasts: timedelta) -> bool:
        """Take or keep what one process does for all; return whether it is the holder's."""
        now = self.clock.now()
        return bool(await self.writer.submit(self._hold, (name, holder, now, now + lasts)))

    async def let_go(self, name: str, holder: str) -> None:
        """Let another process do it."""
        await self.writer.submit(self._let_go, (name, holder))

    async def take_over(self) -> None:
        """Let go of all that is held: nobody else works on this database."""
        await self.writer.submit(self._take_over, self.clock.now())
        await self.writer.submit(self._free_all, None)

    def is_outdated(self) -> bool:
        """Return whether routing.yaml is another than the one read last, whether or not that was sound."""
        return identity_of(self.settings.config) not in {
            self.read_as,
            None,
        }  # None: it is just being replaced

    async def reload(self) -> list[str]:
        """Read routing.yaml again; a faulty one changes nothing. Return what is wrong with it."""
        self.read_as = identity_of(self.settings.config)  # before it is read: what comes later is noticed
        try:
            config = await anyio.to_thread.run_sync(load, self.settings.config, self.environ)
        except ConfigError as error:
            self.reload_errors = list(error.errors)
            metrics.CONFIG_OK.set(0)
            log.error("config.refused", errors=self.reload_errors)  # noqa: TRY400 - the errors say it all
            return self.reload_errors
        self.config = config
        self.reload_errors = []
        self._note_config()
        log.info("config.loaded", file=self.settings.config)
        await self.writer.submit(self._ask_again, self.clock.now())
        self.owed.set()
        return []

    def _note_config(self) -> None:
        metrics.CONFIG_OK.set(1)
        metrics.CONFIG_LOADED_AT.set(self.clock.now().timestamp())

    # The stages as the writer knows them: one object each, so that what waits for one runs together.

    def __post_init__(self) -> None:
        self._note_config()
        self._take = self._stage(ingest.take)
        self._ingest = self._stage(ingest.ingest)
        self._set_aside = self._stage(ingest.set_aside)
        self._drill = self._stage(drill.drill)
        self._act = self._stage(act.act)
        self._review = self._stage(review.review)
        self._escalate = self._stage(escalate.escalate, comes_last=True)  # it sees what its commit began
        self._claim = self._stage(deliver.claim, comes_last=True)  # it sees what its commit brings
        self._record = self._stage(record.record)
        self._weigh = self._stage(record.weigh, comes_last=True)  # replicas take turns at it
        self._late = self._stage(late.late)
        self._watch = self._stage(
            heartbeat.watch, comes_last=True
        )  # it locks after ingest, as ingest itself does
        self._repair = self._stage(audit.repair)
        self._reconcile = self._stage(reconcile.reconcile)
        self._jump = self._stage(audit.jump)
        self._replay = self._stage(replay.replay)
        self._release = self._stage(deliver.release)
        self._ask_again = self._stage(deliver.ask_again)
        self._take_over = self._stage(deliver.take_over)
        self._own_key = self._stage(own_key)
        self._override = self._stage(act.override)
        self._end_override = self._stage(act.end_override)
        self._note_calendar = self._stage(rota.note)
        self._hand_over = self._stage(hand_over.hand_over)
        self._silence = self._stage(silence.silence, comes_last=True)  # replicas take turns at it
        self._move_end = self._stage(silence.move_end, comes_last=True)  # the same
        self._hold = self._stage(hold)
        self._let_go = self._stage(let_go)
        self._free_all = self._stage(free_all)

    def _stage(
        self, stage: Callable[[Db, Config, Sequence[Any]], Sequence[Any]], *, comes_last: bool = False
    ) -> Stage:
        def run(db: Db, items: Sequence[Any]) -> Sequence[Any]:
            return stage(db, self.config, items)

        run.__name__ = stage.__name__
        run.comes_last = comes_last  # type: ignore[attr-defined]
        return run


def own_key(db: Db, _config: Config, made: Sequence[str]) -> list[str]:
    """Return the key that links are signed with; the first one made stays."""
    return [secrets.own(db, "links", one) for one in made]


def hold(db: Db, _config: Config, wishes: Sequence[tuple[str, str, datetime, datetime]]) -> list[bool]:
    """Return of each process whether it has what it wants to do for all."""
    return [leases.take(db, *wish) for wish in wishes]


def let_go(db: Db, _config: Config, held: Sequence[tuple[str, str]]) -> list[None]:
    """Let others have it."""
    for name, holder in held:
        leases.let_go(db, name, holder)
    return [None] * len(held)


def free_all(db: Db, _config: Config, asked: Sequence[None]) -> list[None]:
    """Let go of what processes did that are no more."""
    leases.let_all_go(db)
    return list(asked)


def _came_of(row: dict[str, Any] | None, verb: Verb, actor: str) -> str:
    """Return what to tell the person who answered."""
    if row is None:
        return "there is no such incident any more"
    if verb is Verb.NOTE:
        return "noted"
    if row["state"] == State.RESOLVED:
        return "resolved" if verb is Verb.RESOLVE else "it is over already"
    if row["state"] == State.ACKNOWLEDGED:
        by = row["acknowledged_by"]
        return "acknowledged; it is yours" if by == actor else f"{by} is on it"
    if row["snoozed_until"] is not None:
        return f"snoozed until {row['snoozed_until']:%H:%M} UTC"
    return "nobody is on it now"
