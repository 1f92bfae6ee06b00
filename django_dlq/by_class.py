"""What is said of exception classes: as in `except`, a class stands for its subclasses, and the nearest one counts."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")


def nearest(mapping: Mapping[type[BaseException], Value], error: BaseException) -> Value | None:
    """Return the value of the most specific class that the error is an instance of, in its method resolution order."""
    return next((mapping[cls] for cls in type(error).__mro__ if cls in mapping), None)


def check_classes(name: str, classes: Any) -> None:
    """Raise TypeError unless these are exception classes."""
    if not isinstance(classes, Iterable):
        raise TypeError(f"{name} names several exception classes, not {classes!r}")
    for cls in classes:
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            raise TypeError(f"{name} names exception classes, and this is none: {cls!r}")
