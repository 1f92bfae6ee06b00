"""Where the rows are read."""

from typing import TypeVar

from django.db import models, router

Row = TypeVar("Row", bound=models.Model)


class PrimaryManager(models.Manager[Row]):
    """Read from the database that is written to.

    A replica lags, and in this app a row that is read late is a message that is sent twice, a lease that seems free, or
    a letter that a person settles a second time.
    """

    @property
    def db(self) -> str:
        """The database, unless told otherwise the router's db_for_write."""
        chosen: str | None = getattr(self, "_db", None)
        return chosen or router.db_for_write(self.model, **getattr(self, "_hints", {}))

    def get_queryset(self) -> models.QuerySet[Row]:
        """Return the rows."""
        return super().get_queryset().using(self.db)
