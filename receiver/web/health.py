"""Is Tocsin well, and how does it do?"""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from receiver import metrics
from receiver.services import Services
from receiver.store import incidents, outbox, silences, throttles
from receiver.store.database import DatabaseFailure, is_alive
from receiver.web.common import services_of
from receiver.web.shapes import Alive, Health, described

log = structlog.get_logger()
router = APIRouter(tags=["operations"])
Held = Annotated[Services, Depends(services_of)]


CHECKED = described(Health) | {503: {"model": Health, "description": "Not now."}}


@router.get("/health/live", summary="Does the process answer?", responses=described(Alive))
async def live() -> dict[str, str]:
    """Answer; a process that cannot should be started anew."""
    return {"status": "ok"}


@router.get("/health/ready", summary="Can it take alerts?", responses=CHECKED)
async def ready(services: Held) -> JSONResponse:
    """Answer 200 while the database answers, 503 otherwise."""
    checks = await _checks(services)
    return JSONResponse(checks, status_code=200 if checks["status"] == "ok" else 503)


@router.get("/health", summary="How is it?", responses=CHECKED)
async def health(services: Held) -> JSONResponse:
    """Answer like `ready`, with what is known."""
    return await ready(services)


async def _checks(services: Services) -> dict[str, Any]:
    try:
        database = "ok" if await services.read(is_alive) else "does not answer"
    except DatabaseFailure as error:
        log.warning("health.database", error=type(error).__name__)
        database = "does not answer"
    return {
        "status": "ok" if database == "ok" else "unavailable",
        "database": database,
        "config": "ok" if not services.reload_errors else "the last routing.yaml was refused",
        "waiting_to_be_written": services.writer.waiting(),
    }


@router.get("/metrics", summary="Prometheus metrics.", response_class=PlainTextResponse)
async def show_metrics(services: Held) -> Response:
    """Return the metrics; what the database knows is asked now."""
    now = services.clock.now()
    try:
        metrics.OPEN_INCIDENTS.set(await services.read(incidents.open_count))
        count, oldest = await services.read(outbox.overdue, now)
        metrics.OWED.set(count)
        metrics.OLDEST_OWED_SECONDS.set((now - oldest).total_seconds() if oldest else 0)
        metrics.SILENCES.set(await services.read(silences.count_in_force, now))
        metrics.OPEN_BREAKERS.set(await services.read(throttles.open_breakers))
    except DatabaseFailure as error:
        log.warning("metrics.database", error=type(error).__name__)
    metrics.WRITER_WAITING.set(services.writer.waiting())
    return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)
