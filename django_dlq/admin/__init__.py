"""The pages in Django's admin: read-only lists, and the acts on dead letters, each behind its own permission."""

from django_dlq.admin.dead_letters import DeadLetterAdmin
from django_dlq.admin.dependencies import DependencyAdmin
from django_dlq.admin.half_messages import HalfMessageAdmin
from django_dlq.admin.messages import InboxMessageAdmin, OutboxMessageAdmin, PublishedMessageAdmin
from django_dlq.admin.pauses import PauseAdmin
from django_dlq.admin.producers import ProducerAdmin
from django_dlq.admin.relays import RelayLaneAdmin, RelayProcessAdmin
from django_dlq.admin.stopped_groups import StoppedGroupAdmin
from django_dlq.admin.suspects import SuspectAdmin

__all__ = [
    "DeadLetterAdmin",
    "DependencyAdmin",
    "HalfMessageAdmin",
    "InboxMessageAdmin",
    "OutboxMessageAdmin",
    "PauseAdmin",
    "ProducerAdmin",
    "PublishedMessageAdmin",
    "RelayLaneAdmin",
    "RelayProcessAdmin",
    "StoppedGroupAdmin",
    "SuspectAdmin",
]
