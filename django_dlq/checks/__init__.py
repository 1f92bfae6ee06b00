"""System checks: every wrong setting is found by `manage.py check`, with a stable id.

E001-E019 brokers, E020-E049 and E070-E089 other settings, E050-E059 handlers, E060-E069 databases, E090 on what has
settings, handlers and tables of its own; E113-E115 the storm guard; E120-E129 half messages; E130-E139 producers;
E101-E103 and E111-E112 are the brokers' own.
"""

from django_dlq.checks import brokers, circuits, databases, half_messages, handlers, ordered, producers, settings

__all__ = ["brokers", "circuits", "databases", "half_messages", "handlers", "ordered", "producers", "settings"]
