"""The business rows that the tests write beside their messages."""

from django.db import models


class Order(models.Model):
    number = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.number


class Box(models.Model):
    """An effect of handling: one row each time a handler ran to its end."""

    order = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.order
