"""The rows. QuerySets are the vocabulary; rows own their transitions."""

from django_dlq.models.actor import Actor
from django_dlq.models.broker_outage import BrokerOutage
from django_dlq.models.checking import Asked, give_back, lease_due, write_down
from django_dlq.models.clock import DatabaseNow, database_now, in_future
from django_dlq.models.dead_letter import TRANSITIONS, DeadLetter, Source, State, open_key
from django_dlq.models.dead_letter_event import DeadLetterEvent, Kind
from django_dlq.models.dependency import Circuit, Dependency
from django_dlq.models.half_message import HalfMessage
from django_dlq.models.half_message_check import COUNTED, Answer, HalfMessageCheck
from django_dlq.models.half_states import DECIDED, HALF_TRANSITIONS, DecidedBy, HalfState
from django_dlq.models.inbox_message import InboxMessage, Outcome
from django_dlq.models.outbox_message import OutboxMessage
from django_dlq.models.own_transaction import in_own_transaction
from django_dlq.models.parked import count_parked, let_go, letter_before, release_next
from django_dlq.models.pause import Pause, Pauses, Scope
from django_dlq.models.producer import Producer
from django_dlq.models.published_message import PublishedMessage
from django_dlq.models.relay_lane import RelayLane
from django_dlq.models.relay_process import RelayProcess
from django_dlq.models.stopped_group import StoppedGroup
from django_dlq.models.stored_message import StoredMessage, key_columns
from django_dlq.models.suspect import Suspect
from django_dlq.models.taken_partition import TakenPartition
from django_dlq.models.waiting import behind, count_waiting, is_known
from django_dlq.models.waiting_key import WaitingKey, order_key

__all__ = [
    "COUNTED",
    "DECIDED",
    "HALF_TRANSITIONS",
    "TRANSITIONS",
    "Actor",
    "Answer",
    "Asked",
    "BrokerOutage",
    "Circuit",
    "DatabaseNow",
    "DeadLetter",
    "DeadLetterEvent",
    "DecidedBy",
    "Dependency",
    "HalfMessage",
    "HalfMessageCheck",
    "HalfState",
    "InboxMessage",
    "Kind",
    "OutboxMessage",
    "Outcome",
    "Pause",
    "Pauses",
    "Producer",
    "PublishedMessage",
    "RelayLane",
    "RelayProcess",
    "Scope",
    "Source",
    "State",
    "StoppedGroup",
    "StoredMessage",
    "Suspect",
    "TakenPartition",
    "WaitingKey",
    "behind",
    "count_parked",
    "count_waiting",
    "database_now",
    "give_back",
    "in_future",
    "in_own_transaction",
    "is_known",
    "key_columns",
    "lease_due",
    "let_go",
    "letter_before",
    "open_key",
    "order_key",
    "release_next",
    "write_down",
]
