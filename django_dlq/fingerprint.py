"""How a failure is described, and what tells two failures with the same cause from others."""

import hashlib
import traceback
from dataclasses import dataclass
from types import TracebackType

from django_dlq.exceptions import HandlerDecision

MOST_CHARACTERS = 100_000
"""Of a message or traceback: what is longer keeps its beginning and its end, where the cause stands."""

OWN_FRAMES = tuple(
    f"django_dlq.{name}" for name in ("consumer", "consuming", "failures", "inbox", "probes", "registry", "retries")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong, as text that every database can store; `dependency`: what was down, if that is it."""

    error_class: str
    error_message: str
    traceback: str
    fingerprint: str
    dependency: str = ""

    @classmethod
    def of(cls, error: BaseException, *where: str, cause: str | None = None) -> "Failure":
        """Describe an exception that happened `where`, e.g. in which group and handler.

        `cause`: what takes the place of all else by which failures there are told apart.
        """
        return cls(
            error_class=class_path(error),
            error_message=storable(text_of(error)),
            traceback=storable("".join(traceback.format_exception(error))),
            fingerprint=fingerprint(error, *where) if cause is None else _digest(*where, cause),
        )


def fingerprint(error: BaseException, *where: str) -> str:
    """Return 32 hex digits that are equal for failures of one cause.

    They hash where it failed, the exception's class, and the functions it passed through, without line numbers or the
    message: a release that moves a line, or an id in the text, makes no new cause.
    """
    return _digest(*where, class_path(error), *_functions(error.__traceback__))


def class_path(error: BaseException) -> str:
    """Return the dotted path of an exception's class, without `builtins`."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def one_line(error: BaseException) -> str:
    """Say in one line why: what a handler's decision says, of any other error its class too."""
    text = " ".join(storable(text_of(error)).split())
    return text if isinstance(error, HandlerDecision) and text else f"{class_path(error)}: {text}".rstrip(": ")


def storable(text: str) -> str:
    """Return text that UTF-8 columns accept: lone surrogates and NUL escaped, the middle of very long text left out."""
    text = text.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode(errors="backslashreplace")).hexdigest()[:32]


def text_of(error: BaseException) -> str:
    """Return the text of an error, or that it cannot be had."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an error in the text of an error must not keep the message from being buried
        return f"<{class_path(error)} whose text cannot be had>"


def _functions(trace: TracebackType | None) -> list[str]:
    functions = []
    while trace is not None:
        code, module = trace.tb_frame.f_code, str(trace.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith(OWN_FRAMES):
            functions.append(f"{module}:{code.co_qualname}")
        trace = trace.tb_next
    return functions
