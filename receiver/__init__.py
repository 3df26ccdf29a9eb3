"""One Alertmanager webhook, followed to the person who must act on it.

    POST ──▶ ingest ──▶ route ──▶ ┌────────┐
                                  │ outbox │ ──▶ deliver ──▶ channel ──▶ person
    time ──▶ review ────────────▶ └────────┘                               │
                                                                           ▼
    incident ◀──────────────────────── act ◀─────────────────────── page, API

ingest and route share one transaction: Alertmanager hears 200 only when both are on disk.
Everything else starts from a `*_at` column that has come due.
"""
