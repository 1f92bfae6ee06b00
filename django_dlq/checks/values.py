"""What a setting's value may be."""

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any

from django.utils.module_loading import import_string

from django_dlq.callback.addresses import target_of
from django_dlq.exceptions import CheckerUnreachable


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_span(value: Any) -> bool:
    return isinstance(value, timedelta) and value > timedelta(0)


def is_retention(value: Any) -> bool:
    return value is None or (isinstance(value, timedelta) and value >= timedelta(0))


def is_pause(value: Any) -> bool:
    return value is not None and is_retention(value)


def is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def is_window(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, Sequence) or len(value) != 2 or not all(isinstance(each, time) for each in value):
        return False
    return value[0] != value[1] and all(each.tzinfo is None for each in value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_count_or_none(value: Any) -> bool:
    return value is None or is_count(value)


def is_share_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1)


def is_ladder(value: Any) -> bool:
    return value is None or (isinstance(value, Sequence) and not isinstance(value, str) and all(map(is_span, value)))


def is_list_of_text(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(is_text, value))


def is_list_of_topics(value: Any) -> bool:
    return is_list_of_text(value) and all(topic and "*" not in topic[:-1] for topic in value)


def is_list_of_hosts(value: Any) -> bool:
    if not is_list_of_text(value):
        return False
    try:
        return all(host and target_of(f"https://{host}").path == "/" and host[-1] not in "/?#" for host in value)
    except CheckerUnreachable:
        return False


def is_list_of_exceptions(value: Any) -> bool:
    if not is_list_of_text(value):
        return False
    try:
        return all(issubclass(import_string(path), BaseException) for path in value)
    except (ImportError, TypeError):
        return False
