"""Which value each setting may have."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django_dlq.checks.values import (
    is_count,
    is_count_or_none,
    is_ladder,
    is_list_of_exceptions,
    is_list_of_hosts,
    is_list_of_text,
    is_list_of_topics,
    is_pause,
    is_retention,
    is_share_or_none,
    is_span,
    is_switch,
    is_text,
    is_window,
)


class Rule(NamedTuple):
    """One setting, what its value must fulfil, and how to say so."""

    number: str
    setting: str
    holds: Callable[[Any], bool]
    wanted: str


RULES: Sequence[Rule] = (
    Rule(
        "E020",
        "DLQ_HANDLERS_MODULE",
        lambda value: is_text(value) and value.isidentifier(),
        "the name of a module, e.g. 'handlers'",
    ),
    Rule("E021", "DLQ_MAX_MESSAGE_BYTES", is_count, "a number of bytes above 0"),
    Rule("E022", "DLQ_RELEASE", is_text, "text, e.g. the git sha"),
    Rule("E023", "DLQ_RELAY_BATCH", is_count, "a number of messages above 0"),
    Rule("E024", "DLQ_RELAY_LEASE", is_span, "a timedelta above 0"),
    Rule("E025", "DLQ_PUBLISH_TIMEOUT", is_span, "a timedelta above 0"),
    Rule("E026", "DLQ_POLL_INTERVAL", is_span, "a timedelta above 0"),
    Rule("E027", "DLQ_CONSUMER_BATCH", is_count, "a number of messages above 0"),
    Rule("E028", "DLQ_RETRY_DELAYS", is_ladder, "a list of timedeltas above 0, or None for the default ladder"),
    Rule("E029", "DLQ_NEVER_RETRY", is_list_of_exceptions, "a list of dotted paths of exception classes"),
    Rule("E030", "DLQ_PUBLISHED_RETENTION", is_retention, "a timedelta, or None to keep all"),
    Rule("E031", "DLQ_INBOX_RETENTION", is_retention, "a timedelta, or None to keep all"),
    Rule("E032", "DLQ_CLOSED_RETENTION", is_retention, "a timedelta, or None to keep all"),
    Rule("E033", "DLQ_MASKED_FIELDS", is_list_of_text, "a list of texts"),
    Rule(
        "E034",
        "DLQ_HOLD_TOPICS",
        is_list_of_topics,
        "a list of topics; * may stand at the end of one, for all that begin so",
    ),
    Rule("E035", "DLQ_OUTBOX_RETENTION", lambda value: value is None or is_span(value), "a timedelta above 0, or None"),
    Rule("E036", "DLQ_RELAY_POLL_INTERVAL", is_span, "a timedelta above 0"),
    Rule("E037", "DLQ_PRUNE", is_switch, "True or False"),
    Rule("E038", "DLQ_PRUNE_WINDOW", is_window, "two different times of day without a zone, or None for always"),
    Rule("E039", "DLQ_PRUNE_PAUSE", is_pause, "a timedelta of 0 or more"),
    Rule("E070", "DLQ_LOCK_KEYS", is_switch, "True or False"),
    Rule("E071", "DLQ_RELAY_NOTIFY", is_switch, "True or False"),
    Rule("E072", "DLQ_CONSUMER_GRACE", is_span, "a timedelta above 0"),
    Rule("E073", "DLQ_REPLAY_WINDOW", is_pause, "a timedelta of 0 or more"),
    Rule("E113", "DLQ_STORM_IN_ROW", is_count_or_none, "a number of messages above 0, or None for any number"),
    Rule("E114", "DLQ_STORM_SHARE", is_share_or_none, "a number above 0, and at most 1, or None for any share"),
    Rule(
        "E115", "DLQ_STORM_WINDOW", lambda value: is_count(value) and value >= 100, "a number of messages from 100 on"
    ),
    Rule("E116", "DLQ_MOST_DEATHS", lambda value: is_count(value) and value >= 2, "a number of deaths from 2 on"),
    Rule("E104", "DLQ_PROBE_INTERVAL", is_span, "a timedelta above 0"),
    Rule("E105", "DLQ_REPLAY_AFTER_OUTAGE", is_switch, "True or False"),
    Rule("E120", "DLQ_CHECKBACK_AFTER", is_pause, "a timedelta of 0 or more"),
    Rule("E121", "DLQ_CHECKBACK_EVERY", is_span, "a timedelta above 0"),
    Rule("E122", "DLQ_CHECKBACK_MOST", is_count, "a number of checks above 0"),
    Rule("E123", "DLQ_CHECKBACK_TIMEOUT", is_span, "a timedelta above 0"),
    Rule("E124", "DLQ_CHECKBACK_THREADS", is_count, "a number of threads above 0"),
    Rule("E125", "DLQ_DECIDED_RETENTION", is_retention, "a timedelta, or None to keep all"),
    Rule("E130", "DLQ_CHECKBACK_HOSTS", is_list_of_hosts, "a list of hosts, each as 'host' or 'host:port'"),
    Rule("E131", "DLQ_CHECKBACK_ALLOW_HTTP", is_switch, "True or False"),
    Rule("E132", "DLQ_CHECKBACK_ALLOW_PRIVATE", is_switch, "True or False"),
    Rule("E133", "DLQ_CHECKBACK_HTTP_TIMEOUT", is_span, "a timedelta above 0"),
)
