"""Texts as one parameter of a statement for PostgreSQL."""

from collections.abc import Iterable


def text_array(texts: Iterable[str]) -> str:
    """Return an array of texts as PostgreSQL reads it (section 8.15.6 of its manual): `%s::text[]`.

    A placeholder for each would take long to bind, and the driver writes an array item by item, in Python.
    """
    quoted = ",".join([f'"{_escaped(text)}"' for text in texts])
    return f"{{{quoted}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
