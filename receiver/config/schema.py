"""How does an editor know what may be written in routing.yaml?"""

import json
from typing import Any

from receiver.config.records import Config

TITLE = "Tocsin routing.yaml"

SEND_RESOLVED = "Tell this destination when the incident is over as well; default true."
TIMEOUT = "How long one attempt may take."
PRIVATE = "Allow addresses of your own network; default false."

EVERYWHERE = {  # keys of every channel
    "rate_limit": "How often this destination is told at most; default: what the service publishes.",
}

# One sentence for each key, shown by editors while a person types.
DESCRIPTIONS = {
    "AppriseConfig": {
        "send_resolved": SEND_RESOLVED,
        "url": "The service in apprise's way, ntfy://…; better kept elsewhere, or with url_file.",
        "url_file": "A file that holds the URL.",
        "name": "What the destination is called instead of its service.",
        "timeout": TIMEOUT,
        "allow_private_addresses": PRIVATE,
    },
    "Authorization": {
        "type": "The word before the credentials; default Bearer.",
        "credentials": "The credentials; better kept elsewhere, as ${VARIABLE} or with credentials_file.",
        "credentials_file": "A file that holds the credentials; relative to the folder of this file.",
    },
    "BasicAuth": {
        "username": "The user name.",
        "password": "The password; better kept elsewhere, as ${VARIABLE} or with password_file.",
        "password_file": "A file that holds the password; relative to the folder of this file.",
    },
    "BreakThrough": {
        "severity": "This severity, and any above it; default critical.",
        "count": "So many alerts of one incident that fire.",
        "after": "An incident that fires for so long.",
    },
    "Config": {
        "sources": "The Alertmanagers that post to us; without any, whoever reaches the port may post.",
        "time_intervals": "Named recurring times, as in Alertmanager.",
        "receivers": "Named sets of destinations, as in Alertmanager.",
        "route": "The root of the routing tree, as in Alertmanager.",
        "inhibit_rules": "Which firing alerts keep which others quiet, as in Alertmanager.",
        "mute_windows": "Recurring times at which alerts that match are quiet, such as maintenance.",
        "people": "Who answers, and from where.",
        "schedules": "Who is on call when.",
        "escalation_policies": "Who is told, step by step, until somebody acts.",
        "global": "Accounts that receivers and people's contacts share, as in Alertmanager.",
        "outgoing_heartbeat": "Where Tocsin says that it is well, for somebody who notices when it does not.",
        "heartbeats": "Alerts that should always fire; their absence is the alarm.",
        "fallback": "The receiver that is told when a destination cannot be reached; "
        'default: the receiver named "fallback", else that of the root route.',
        "severity_order": "The values of the label severity, most severe first.",
        "vanish_after": "An alert that Alertmanager no longer mentions counts as over after this time.",
        "reopen_within": "An incident that fires again this soon after it was resolved is the same incident.",
        "fallback_after": "The fallback hears of a page that could not be delivered for this long.",
        "give_up_after": "A notification that could not be delivered for this long goes to the fallback.",
    },
    "Contact": {
        "after": "How long after a step told the person; whoever acts in time hears no more. Default 0s.",
        "slack": "The member id in Slack, e.g. U024BE7LH.",
        "telegram": "The number of the user in Telegram.",
        "email": "The address that e-mail goes to.",
        "pagerduty": "The id of the user in PagerDuty, e.g. PT23IWX.",
    },
    "EscalationPolicy": {
        "name": "The name that routes use.",
        "steps": "Whom to tell, one step after the other.",
        "repeat": "How many rounds follow the first one; default 0.",
        "repeat_after": "How long after the last step of a round the next round begins; default 15m.",
        "ack_timeout": "What is acknowledged so long, and still fires, is triggered again; default: never.",
    },
    "Global": {
        "smtp_smarthost": "The mail server, as host:port.",
        "smtp_from": "The sender of every e-mail.",
        "smtp_hello": "What we call ourselves to the mail server; default localhost.",
        "smtp_auth_username": "The user name at the mail server.",
        "smtp_auth_password": "The password; better kept elsewhere.",
        "smtp_auth_password_file": "A file that holds the password.",
        "smtp_auth_secret": "The secret for CRAM-MD5; better kept elsewhere.",
        "smtp_auth_secret_file": "A file that holds the secret.",
        "smtp_auth_identity": "Whom to act for, with PLAIN.",
        "smtp_require_tls": "Whether a mail server without STARTTLS is refused; default true.",
        "smtp_tls_config": "Which certificates are trusted and shown.",
        "slack_api_url": "The incoming webhook of Slack; better kept elsewhere.",
        "slack_api_url_file": "A file that holds it.",
        "slack_app_token": "The token of a Slack app, which people are told through; better kept elsewhere.",
        "slack_app_token_file": "A file that holds it.",
        "slack_app_url": "Where chat.postMessage is; default Slack's.",
        "slack_signing_secret": "The app's signing secret, for buttons; better kept elsewhere.",
        "slack_signing_secret_file": "A file that holds it.",
        "telegram_bot_token": "The bot that writes; better kept elsewhere.",
        "telegram_bot_token_file": "A file that holds it.",
        "telegram_api_url": "Where the Bot API is; default Telegram's.",
        "opsgenie_api_key": "The key of Opsgenie's API; better kept elsewhere.",
        "opsgenie_api_key_file": "A file that holds it.",
        "opsgenie_api_url": "Where Opsgenie's API is; default Opsgenie's.",
        "pagerduty_url": "Where PagerDuty's events go; default PagerDuty's.",
        "allow_private_addresses": "Allow addresses of your own network in every receiver; default false.",
    },
    "Step": {
        "after": "How long after the step before it, or after the policy began; default 0s.",
        "notify": "Who is told: receivers, people, whoever is on call.",
        "round_robin": "Tell one of them for each incident, by turns; default false.",
        "severity": "Take the step only for what is at least this severe.",
        "active_time_intervals": "Take the step only then; at other times the next one, at once.",
        "mute_time_intervals": "Do not take the step then, but the next one, at once.",
    },
    "Whom": {
        "receiver": "The name of a receiver.",
        "person": "The name of one of the people.",
        "schedule": "The name of a schedule: whoever is on call by it.",
        "turn": "now: who is on call; next: who takes over from them. Default now.",
    },
    "OutgoingHeartbeat": {
        "url": "The address to ask; better kept elsewhere, as ${VARIABLE} or with url_file.",
        "url_file": "A file that holds the address; relative to the folder of this file.",
        "every": "How often; default 1m.",
    },
    "Person": {
        "name": "What others call the person.",
        "time_zone": "Whose clocks the person lives by; default UTC.",
        "contacts": "Where the person answers from, so that the answer has a name.",
    },
    "Rotation": {
        "name": "What the rotation is called.",
        "people": "Who takes turns, in this order.",
        "every": "How long one turn is: whole hours, such as 12h, 1d or 1w.",
        "starts_at": "The first hand-over on the clocks of the schedule's time zone, e.g. 2026-01-05T09:00.",
        "ends_at": "When the rotation is over, on the same clocks.",
        "active_time_intervals": "At other times it is as if the rotation were not there.",
    },
    "Schedule": {
        "name": "The name of the schedule.",
        "time_zone": "Whose clocks count; default UTC.",
        "rotations": "The last one that has somebody says who is on call.",
        "calendar": "Its events go before the rotations.",
    },
    "Calendar": {
        "url": "The address of an iCalendar feed; better as ${VARIABLE}, for it is often a secret.",
        "file": "An iCalendar file; relative to the folder of this file.",
        "refresh": "How often it is read; default 15m.",
    },
    "ConsoleConfig": {"send_resolved": SEND_RESOLVED},
    "EmailConfig": {
        "send_resolved": SEND_RESOLVED,
        "to": "Who is told, such as ana@example.org or Ana <ana@example.org>; several with commas between.",
        "from": "Whom the mails come from.",
        "smarthost": "The server that takes them, such as mail.example.org:587.",
        "hello": "The name this machine gives itself there; default localhost.",
        "auth_username": "The user name to log in with; default: no login.",
        "auth_password": "The password; better kept elsewhere, as ${VARIABLE} or with auth_password_file.",
        "auth_password_file": "A file that holds the password; relative to the folder of this file.",
        "auth_secret": "The password for CRAM-MD5; better kept elsewhere, as ${VARIABLE} or in a file.",
        "auth_secret_file": "A file that holds it; relative to the folder of this file.",
        "auth_identity": "Whom the user acts for; default: nobody else.",
        "require_tls": "Send nothing unless STARTTLS has made the connection private; default true.",
        "force_implicit_tls": "Speak TLS from the first byte; default: on port 465.",
        "tls_config": "How the certificate of the server is checked.",
        "headers": "Headers to add, as they are.",
        "timeout": TIMEOUT,
    },
    "Heartbeat": {
        "name": "What the heartbeat is called.",
        "matchers": "Which alerts are its beats; they open no incident.",
        "every": "How often it should be heard; default: learned.",
        "receiver": "Who hears when it is missing, besides the routes.",
        "escalation_policy": "How it is escalated when it is missing, besides the routes.",
    },
    "Holidays": {
        "country": "A country by its code, such as US or DE.",
        "subdivision": "A part of the country by its code, such as NY or BY.",
        "dates": "Single days, such as 2026-12-24.",
        "calendar_file": "An iCalendar file, whose events are holidays; relative to the folder of this file.",
    },
    "HttpConfig": {
        "authorization": "An Authorization header.",
        "basic_auth": "A user name and password.",
    },
    "InhibitRule": {
        "name": "A name for people.",
        "source_matchers": "What the alert must match that keeps others quiet.",
        "source_match": "The same as a mapping of label to value; the older spelling.",
        "source_match_re": "The same as a mapping of label to regular expression; the older spelling.",
        "target_matchers": "What the alerts must match that are kept quiet.",
        "target_match": "The same as a mapping of label to value; the older spelling.",
        "target_match_re": "The same as a mapping of label to regular expression; the older spelling.",
        "equal": "Labels that must have the same value on both.",
    },
    "Login": {
        "username": "The user name that Alertmanager sends.",
        "password": "The password; better kept elsewhere, as ${VARIABLE} or with password_file.",
        "password_file": "A file that holds the password; relative to the folder of this file.",
        "passwords": "Two passwords that are both valid, while one takes the place of the other.",
        "password_files": "Two files with a password each, both valid.",
    },
    "RateLimit": {
        "count": "How many messages.",
        "per": "In which time; default 1s.",
        "burst": "How many at once, before the rate counts; default 1.",
    },
    "Image": {
        "src": "The https address of a picture.",
        "href": "Where a click on it leads.",
        "alt": "What it shows, in words.",
    },
    "Link": {"href": "Where it leads.", "text": "What it is called."},
    "MuteWindow": {
        "name": "What the window is called where it keeps something quiet.",
        "matchers": "What is kept quiet; all of them must hold. Default: every alert.",
        "time_intervals": "The names of the time intervals at which it is quiet.",
        "text": "Why.",
    },
    "OpsgenieConfig": {
        "send_resolved": SEND_RESOLVED,
        "api_key": "The key of an API integration; better kept elsewhere, or with api_key_file.",
        "api_key_file": "A file that holds the key.",
        "api_url": "Where the API is; another one for the EU and for Jira Service Management.",
        "responders": "Who is told by Opsgenie; default: as the integration says.",
        "tags": "Tags with commas between them.",
        "priority": "P1 to P5 for everything; default: by severity.",
        "priorities": "P1 to P5 by severity; what is not named has its usual priority.",
        "entity": "What it is about; default: the instance, pod, node or service.",
        "source": "Who says so; default Tocsin.",
        "note": "A note on every new alert.",
        "actions": "Custom actions with commas between them.",
        "details": "Pairs that every alert shows besides its labels.",
        "update_alerts": "Change message, priority and description of an open alert; default true.",
        "timeout": TIMEOUT,
        "allow_private_addresses": PRIVATE,
    },
    "PagerDutyConfig": {
        "send_resolved": SEND_RESOLVED,
        "routing_key": "The integration key of an Events API v2 integration; better kept elsewhere.",
        "routing_key_file": "A file that holds the integration key.",
        "url": "Where events go; another one for the EU.",
        "client": "What PagerDuty calls us; default Tocsin.",
        "client_url": "Where its link to us leads; default: the page of the incident.",
        "severity": "critical, error, warning or info for everything; default: by severity.",
        "severities": "PagerDuty's severity by ours; what is not named is mapped as usual.",
        "class": "The kind of event; default: the alertname.",
        "component": "The part that is broken; default: the service or job.",
        "group": "What it belongs to; default: the cluster or namespace.",
        "source": "What is affected; default: the instance, pod, node or service.",
        "details": "Pairs that every event shows besides ours.",
        "links": "Links that every event shows besides ours.",
        "images": "Pictures that every event shows.",
        "webhook_secret": "The signing secret of a webhook, so that what people do there is heard.",
        "webhook_secret_file": "A file that holds the signing secret.",
        "webhook_secrets": "The signing secrets of several webhooks.",
        "webhook_secret_files": "Files that hold a signing secret each.",
        "timeout": TIMEOUT,
        "allow_private_addresses": PRIVATE,
    },
    "Receiver": {"name": "The name that routes use."},
    "Responder": {
        "type": "team, teams (names with commas), user, escalation or schedule.",
        "id": "The id of it; one of id, name and username.",
        "name": "The name of a team, escalation or schedule.",
        "username": "The address of a user.",
    },
    "Route": {
        "name": "A name for people and for policy tests; default: the path, such as route.routes[1].",
        "receiver": "Who is told; inherited from the route above.",
        "escalation_policy": "Reserved: escalation policies do not exist yet.",
        "matchers": 'What an alert must match, such as severity="critical"; all of them must hold.',
        "match": "The same as a mapping of label to value; the older spelling.",
        "match_re": "The same as a mapping of label to regular expression; the older spelling.",
        "continue": "Go on with the next sibling although this route matches.",
        "routes": "Routes below this one; the first that matches takes the alert.",
        "group_by": "The labels that make one incident; default: as Alertmanager grouped; ['...'] is all.",
        "group_wait": "How long the first notification waits for more alerts; default 0s.",
        "group_interval": "The least time between two updates about one incident; default 30s.",
        "repeat_interval": "How often a triggered incident is repeated; default 4h.",
        "mute_time_intervals": "Times at which this route is quiet.",
        "active_time_intervals": "The only times at which this route speaks.",
        "outside": "Outside these times people are told later (defer), or not of updates (drop).",
        "break_through": "What does not wait for opening hours: a severity, or how many, or how long.",
        "labels": "Labels of the route itself; they match nothing.",
    },
    "SlackConfig": {
        "send_resolved": SEND_RESOLVED,
        "api_url": "The URL of a Slack webhook; better kept elsewhere, as ${VARIABLE} or with api_url_file.",
        "api_url_file": "A file that holds the URL of an incoming webhook.",
        "app_token": "The token of an app, which can edit its messages; better kept elsewhere.",
        "app_token_file": "A file that holds the token of an app.",
        "app_url": "Where an app posts; only a server that speaks as Slack does needs another.",
        "channel": "The channel; an app needs it, a webhook has one of its own.",
        "username": "The name that messages come from.",
        "icon_emoji": "The picture that messages come with, such as :bell:.",
        "signing_secret": "The signing secret of the app, so that its buttons answer; better kept elsewhere.",
        "signing_secret_file": "A file that holds the signing secret of the app.",
        "timeout": TIMEOUT,
        "allow_private_addresses": PRIVATE,
    },
    "Source": {
        "name": "The last part of the URL it posts to: /webhooks/alertmanager/NAME.",
        "token": "The bearer token it sends; better kept elsewhere, as ${VARIABLE} or with token_file.",
        "token_file": "A file that holds the token; relative to the folder of this file.",
        "tokens": "Two tokens that are both valid, while one takes the place of the other.",
        "token_files": "Two files with a token each, both valid.",
        "basic_auth": "A user name and password, instead of a token.",
        "alertmanager_url": "Where its API and pages are.",
        "prometheus_url": "Where its Prometheus is.",
    },
    "TelegramConfig": {
        "send_resolved": SEND_RESOLVED,
        "bot_token": "The token that BotFather gave; better kept elsewhere, or with bot_token_file.",
        "bot_token_file": "A file that holds the token.",
        "chat_id": "The chat: a number, negative for groups, or the @name of a public one.",
        "message_thread_id": "The topic of the group; default: none.",
        "api_url": "Where the Bot API is; only a server of your own needs another.",
        "disable_notifications": "Let no message make a sound; default false.",
        "parse_mode": "The markup of the templates, which is HTML.",
        "updates": "How pressed buttons reach us: polling needs no public address; default polling.",
        "webhook_secret": "What Telegram shows with every update; better kept elsewhere.",
        "webhook_secret_file": "A file that holds it.",
        "timeout": TIMEOUT,
        "allow_private_addresses": PRIVATE,
    },
    "TimeInterval": {
        "name": "The name that routes use.",
        "time_intervals": "It is active while any of these is.",
        "holidays": "Days on which it is not active.",
    },
    "TimeRange": {
        "start_time": "HH:MM; the first minute that belongs to it.",
        "end_time": "HH:MM, up to 24:00; the first minute that no longer does, perhaps of the next day.",
    },
    "WebhookConfig": {
        "send_resolved": SEND_RESOLVED,
        "url": "Where to post; better kept elsewhere, as ${VARIABLE} or with url_file.",
        "url_file": "A file that holds the URL.",
        "max_alerts": "Send at most so many alerts; 0 sends all.",
        "timeout": TIMEOUT,
        "http_config": "How to log in there.",
        "secret": "Signs every body; better kept elsewhere, as ${VARIABLE} or with secret_file.",
        "secret_file": "A file that holds the secret.",
        "allow_private_addresses": PRIVATE,
    },
    "TlsConfig": {
        "ca_file": "The authorities to trust, instead of the system's.",
        "cert_file": "The certificate we show.",
        "key_file": "Its key.",
        "server_name": "The name in the certificate, where it is not the host's.",
        "insecure_skip_verify": "Trust any certificate; default false.",
        "min_version": "TLS12 or TLS13; default TLS12.",
    },
    "Window": {
        "times": "Parts of the day; default: the whole day.",
        "weekdays": "Such as monday:friday, or friday:monday; default: every day.",
        "days_of_month": "Such as 1:15, or -1 for the last day; default: every day.",
        "months": "Such as may:august or 5:8; default: every month.",
        "years": "Such as 2026:2028; default: every year.",
        "location": "The time zone, such as Europe/Lisbon; default UTC.",
    },
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of routing.yaml."""
    body = Config.model_json_schema()
    definitions = body.pop("$defs")
    for name, record in {"Config": body, **definitions}.items():
        for key, field in record["properties"].items():
            _simplify(field)
            said = DESCRIPTIONS.get(name, {}).get(key) or EVERYWHERE.get(key)
            field["description"] = said or _list_of(key)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": TITLE,
        "$defs": definitions,
    }


def _simplify(field: dict[str, Any]) -> None:
    """Leave out what an editor would only repeat: a title made from the key, and that a key may be empty."""
    field.pop("title", None)
    match field.get("anyOf"):
        case [kind, {"type": "null"}]:
            del field["anyOf"], field["default"]
            field.update(kind)


def _list_of(key: str) -> str:
    return f"Destinations of the kind {key.removesuffix('_configs')}."


def schema_text() -> str:
    """Return the text of routing.schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
