"""What the relay sends before its turn, in the order of the small index that it has."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Q

from django_dlq.models.clock import database_now
from django_dlq.models.outbox_message import OutboxMessage
from django_dlq.models.outbox_reading import BY_MOMENT, BY_URGENCY, DELAYED, URGENT, Reading
from django_dlq.models.outgoing import Outgoing

LATE = timedelta(seconds=5)
"""What becomes due, and commits so long after, is still news."""

Place = tuple[Any, int]


class Aside(ABC):
    """One of the two indexes: which rows it has, and what is new in it."""

    condition: Q
    order: tuple[str, ...]
    news_order: tuple[str, ...]

    def read(self, reading: Reading, place: Place | None) -> tuple[list[Outgoing], bool]:
        """Return rows that follow a place, a page at least or all there are; and whether there may be more."""
        rows: list[Outgoing] = []
        for part in [Q()] if place is None else self.after(place):
            page = reading.aside(self.condition & part, self.order)
            rows += page.rows
            if page.is_full:
                return rows, True
        return rows, False

    def news(self, reading: Reading, known: Any) -> tuple[list[Outgoing], bool]:
        """Return a page of what has come since, and whether there may be more."""
        page = reading.aside(self.condition & self.since(known), self.news_order)
        return page.rows, page.is_full

    @abstractmethod
    def after(self, place: Place) -> Iterator[Q]:
        """Yield the conditions of what follows a place, part by part, each a range of the index."""

    @abstractmethod
    def place_of(self, row: Outgoing, using: str) -> Place | None:
        """Return a row's place; None if it is gone and nobody knows any more."""

    @abstractmethod
    def end(self, reading: Reading, reached: int) -> Any:
        """Return up to where there is something now, after an id at least."""

    @abstractmethod
    def since(self, end: Any) -> Q:
        """Return the condition of what has come since."""


class Urgent(Aside):
    """By priority and id; news are found along the primary key."""

    condition = URGENT
    order, news_order = BY_URGENCY, ("id",)

    def after(self, place: Place) -> Iterator[Q]:
        """Yield the rest of its priority, then the lower ones."""
        priority, pk = place
        # As a range: of an equality PostgreSQL knows that the primary key has that order too.
        yield Q(priority__gte=priority, priority__lte=priority, id__gt=pk)
        yield Q(priority__lt=priority)

    def place_of(self, row: Outgoing, using: str) -> Place | None:
        """Tell by the row."""
        return row.priority, row.id

    def end(self, reading: Reading, reached: int) -> Any:
        """Return the highest id."""
        return reading.newest(reached)

    def since(self, end: Any) -> Q:
        """Tell by the id."""
        return Q(id__gt=end)


class Delayed(Aside):
    """By the moment from which on it may be sent; that is also when it is news."""

    condition = DELAYED
    order = news_order = BY_MOMENT

    def after(self, place: Place) -> Iterator[Q]:
        """Yield the rest of its moment, then the later ones."""
        due_at, pk = place
        yield Q(due_at__gte=due_at, due_at__lte=due_at, id__gt=pk)
        yield Q(due_at__gt=due_at)

    def place_of(self, row: Outgoing, using: str) -> Place | None:
        """Ask for the moment, which the relay does not read."""
        due_at = OutboxMessage.objects.using(using).filter(pk=row.id).values_list("due_at", flat=True).first()
        return None if due_at is None else (due_at, row.id)

    def end(self, reading: Reading, reached: int) -> Any:
        """Return the database's time, and a little before."""
        return database_now(reading.using) - LATE

    def since(self, end: Any) -> Q:
        """Tell by the moment."""
        return Q(due_at__gt=end)
