"""the first tables.

Revision: 0001_pre
After:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0001_pre"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema forward."""
    op.create_table(
        "incident",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("source", AutoString(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("severity", AutoString(), nullable=False),
        sa.Column("title", AutoString(), nullable=False),
        sa.Column(
            "labels",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column(
            "annotations",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column(
            "group_labels",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column(
            "upstream",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column(
            "routes",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("drill", sa.Boolean(), nullable=False),
        sa.Column("firing", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("truncated", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("reopenings", sa.Integer(), nullable=False),
        sa.Column("started_at", UTCDateTime(), nullable=False),
        sa.Column("last_seen_at", UTCDateTime(), nullable=False),
        sa.Column("acknowledged_at", UTCDateTime(), nullable=True),
        sa.Column("acknowledged_by", AutoString(), nullable=True),
        sa.Column("acknowledged_how", AutoString(), nullable=True),
        sa.Column("snoozed_until", UTCDateTime(), nullable=True),
        sa.Column("resolved_at", UTCDateTime(), nullable=True),
        sa.Column("resolved_in", sa.Integer(), nullable=True),
        sa.Column("reopened_at", UTCDateTime(), nullable=True),
        sa.Column("flapping_at", UTCDateTime(), nullable=True),
        sa.Column("review_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_incident"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("incident", schema=None) as batch_op:
        batch_op.create_index(
            "ix_incident_open",
            ["id"],
            unique=False,
            sqlite_where=sa.text("state <> 'resolved'"),
            postgresql_where=sa.text("state <> 'resolved'"),
        )
        batch_op.create_index(
            "ix_incident_resolved_in_key",
            ["resolved_in", "key"],
            unique=False,
            sqlite_where=sa.text("resolved_in IS NOT NULL"),
            postgresql_where=sa.text("resolved_in IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_incident_review_at",
            ["review_at"],
            unique=False,
            sqlite_where=sa.text("review_at IS NOT NULL"),
            postgresql_where=sa.text("review_at IS NOT NULL"),
        )
        batch_op.create_index(
            "uq_incident_key_open",
            ["key"],
            unique=True,
            sqlite_where=sa.text("state <> 'resolved'"),
            postgresql_where=sa.text("state <> 'resolved'"),
        )

    op.create_table(
        "payload",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("heard_in", sa.Integer(), nullable=False),
        sa.Column("source", AutoString(), nullable=False),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("alerts", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_payload"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("payload", schema=None) as batch_op:
        batch_op.create_index("ix_payload_heard_in_digest", ["heard_in", "digest"], unique=False)

    op.create_table(
        "quarantine",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.Column("source", AutoString(), nullable=False),
        sa.Column("why", AutoString(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index("ix_quarantine_received_at", ["received_at"], unique=False)

    op.create_table(
        "alert",
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fingerprint", AutoString(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column(
            "labels",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column(
            "annotations",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("generator_url", AutoString(), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=True),
        sa.Column("vanished_at", UTCDateTime(), nullable=True),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name="fk_alert_incident_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("incident_id", "fingerprint", name="pk_alert"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index(
            "ix_alert_group_id_firing",
            ["group_id"],
            unique=False,
            sqlite_where=sa.text("state = 'firing'"),
            postgresql_where=sa.text("state = 'firing'"),
        )

    op.create_table(
        "conversation",
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("destination", AutoString(), nullable=False),
        sa.Column(
            "ids",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("sent_at", UTCDateTime(), nullable=False),
        sa.Column("sent_revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name="fk_conversation_incident_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("incident_id", "destination", name="pk_conversation"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "drill",
        sa.Column("id", AutoString(), nullable=False),
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("posted_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name="fk_drill_incident_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_drill"),
    )
    op.create_table(
        "notification",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("destination", AutoString(), nullable=False),
        sa.Column("receiver", AutoString(), nullable=False),
        sa.Column("route", AutoString(), nullable=False),
        sa.Column("reason", AutoString(), nullable=False),
        sa.Column("state", AutoString(), nullable=False),
        sa.Column("why", AutoString(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("claimed_until", UTCDateTime(), nullable=True),
        sa.Column("fallback_at", UTCDateTime(), nullable=True),
        sa.Column("finished_at", UTCDateTime(), nullable=True),
        sa.Column("fallback_for", AutoString(), nullable=True),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name="fk_notification_incident_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notification"),
        sa.UniqueConstraint("key", name="uq_notification_key"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.create_index(
            "ix_notification_due_at",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("state = 'owed'"),
            postgresql_where=sa.text("state = 'owed'"),
        )
        batch_op.create_index(
            "ix_notification_failed",
            ["id"],
            unique=False,
            sqlite_where=sa.text("state = 'failed'"),
            postgresql_where=sa.text("state = 'failed'"),
        )
        batch_op.create_index(
            "ix_notification_fallback_at",
            ["fallback_at"],
            unique=False,
            sqlite_where=sa.text("state = 'owed' AND fallback_at IS NOT NULL"),
            postgresql_where=sa.text("state = 'owed' AND fallback_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_notification_incident_id_destination", ["incident_id", "destination"], unique=False
        )
        batch_op.create_index(
            "ix_notification_urgent",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("state = 'owed' AND urgent"),
            postgresql_where=sa.text("state = 'owed' AND urgent"),
        )

    op.create_table(
        "timeline",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("kind", AutoString(), nullable=False),
        sa.Column("actor", AutoString(), nullable=True),
        sa.Column("text", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name="fk_timeline_incident_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_timeline"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.create_index("ix_timeline_incident_id", ["incident_id"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("notification_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("took", sa.Float(), nullable=False),
        sa.Column("outcome", AutoString(), nullable=False),
        sa.Column("answer", AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notification.id"], name="fk_attempt_notification_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("notification_id", "n", name="pk_attempt"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "throttle",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("free_at", UTCDateTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("probe_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_throttle"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "heard",
        sa.Column("key", AutoString(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_heard"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("heard", schema=None) as batch_op:
        batch_op.create_index("ix_heard_at", ["at"], unique=False)

    op.create_table(
        "secret",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("value", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secret"),
    )
    op.create_table(
        "override",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("schedule", AutoString(), nullable=False),
        sa.Column("person", AutoString(), nullable=False),
        sa.Column("starts_at", UTCDateTime(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("made_at", UTCDateTime(), nullable=False),
        sa.Column("made_by", AutoString(), nullable=False),
        sa.Column("text", AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_override"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("override", schema=None) as batch_op:
        batch_op.create_index("ix_override_ends_at", ["ends_at"], unique=False)

    op.create_table(
        "lease",
        sa.Column("name", AutoString(), nullable=False),
        sa.Column("holder", AutoString(), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("lease")
    with op.batch_alter_table("override", schema=None) as batch_op:
        batch_op.drop_index("ix_override_ends_at")

    op.drop_table("override")
    op.drop_table("secret")
    with op.batch_alter_table("heard", schema=None) as batch_op:
        batch_op.drop_index("ix_heard_at")

    op.drop_table("heard")
    op.drop_table("throttle")
    op.drop_table("attempt")
    with op.batch_alter_table("timeline", schema=None) as batch_op:
        batch_op.drop_index("ix_timeline_incident_id")

    op.drop_table("timeline")
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_notification_urgent",
            sqlite_where=sa.text("state = 'owed' AND urgent"),
            postgresql_where=sa.text("state = 'owed' AND urgent"),
        )
        batch_op.drop_index("ix_notification_incident_id_destination")
        batch_op.drop_index(
            "ix_notification_fallback_at",
            sqlite_where=sa.text("state = 'owed' AND fallback_at IS NOT NULL"),
            postgresql_where=sa.text("state = 'owed' AND fallback_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_notification_failed",
            sqlite_where=sa.text("state = 'failed'"),
            postgresql_where=sa.text("state = 'failed'"),
        )
        batch_op.drop_index(
            "ix_notification_due_at",
            sqlite_where=sa.text("state = 'owed'"),
            postgresql_where=sa.text("state = 'owed'"),
        )

    op.drop_table("notification")
    op.drop_table("drill")
    op.drop_table("conversation")
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_alert_group_id_firing",
            sqlite_where=sa.text("state = 'firing'"),
            postgresql_where=sa.text("state = 'firing'"),
        )

    op.drop_table("alert")
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.drop_index("ix_quarantine_received_at")

    op.drop_table("quarantine")
    with op.batch_alter_table("payload", schema=None) as batch_op:
        batch_op.drop_index("ix_payload_heard_in_digest")

    op.drop_table("payload")
    with op.batch_alter_table("incident", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_incident_key_open",
            sqlite_where=sa.text("state <> 'resolved'"),
            postgresql_where=sa.text("state <> 'resolved'"),
        )
        batch_op.drop_index(
            "ix_incident_review_at",
            sqlite_where=sa.text("review_at IS NOT NULL"),
            postgresql_where=sa.text("review_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_incident_resolved_in_key",
            sqlite_where=sa.text("resolved_in IS NOT NULL"),
            postgresql_where=sa.text("resolved_in IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_incident_open",
            sqlite_where=sa.text("state <> 'resolved'"),
            postgresql_where=sa.text("state <> 'resolved'"),
        )

    op.drop_table("incident")
