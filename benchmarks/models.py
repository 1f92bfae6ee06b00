"""The business row that is written beside every message."""

from django.db import models


class Order(models.Model):
    """An order, as small as a row can be: the message's share of the transaction then shows best."""

    number = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.number
