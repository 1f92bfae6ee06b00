"""What a handler wants to be done about its failures, where that is more than to try again and give up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from django_dlq.by_class import check_classes, nearest
from django_dlq.exceptions import HandlerDecision, Skip
from django_dlq.message import ReceivedMessage


class Decision(Enum):
    """What shall become of a message whose handler has failed.

    RETRY: what the retry policy says, as without a decision. DEAD: a dead letter at once. SKIP: not handled, and not a
    dead letter either; the inbox keeps the reason.
    """

    RETRY = "retry"
    DEAD = "dead"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Compensate:
    """Decide that a function makes good what the message's failure leaves undone elsewhere.

    It is called with the message and the error, once per group and message key, in one transaction with the inbox row
    and with the letter that says so. If it fails, that is a failure of the message: the next attempt begins with the
    handler again. With `after_retries` it is called in place of the dead letter, when the retry policy has given up.
    Not promised: that its effects outside the database happen once.
    """

    function: Callable[[ReceivedMessage, BaseException], object]
    after_retries: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        """Check it where the project is imported, rather than when something fails."""
        if not callable(self.function):
            raise TypeError(f"Compensate takes a function of a message and an error, not {self.function!r}")


Choice = Decision | Compensate
FailureRule = Mapping[type[BaseException], Choice] | Callable[[ReceivedMessage, BaseException], Choice | None]
Fingerprint = Callable[[ReceivedMessage, BaseException], str]


def check_rule(rule: object) -> None:
    """Raise TypeError unless this is a rule: a dict of exception classes and choices, or a function that chooses."""
    if rule is None or (callable(rule) and not isinstance(rule, type)):
        return
    if not isinstance(rule, Mapping):
        raise TypeError(f"on_failure is a dict of exception classes or a function of a message and an error: {rule!r}")
    check_classes("on_failure", rule)
    for cls, choice in rule.items():
        _check_choice(choice, f"on_failure[{cls.__name__}]")


def decide(rule: FailureRule | None, message: ReceivedMessage, error: BaseException) -> Choice:
    """Return what the rule says about an error, of several classes in a dict the most specific one's.

    What the handler has decided itself, by RetryLater, Reject or Skip, stands, unless the dict names that very class.
    Raises what a function raises, and TypeError for an answer that is no choice.
    """
    has_decided = isinstance(error, HandlerDecision)
    choice: Choice | None = None
    if isinstance(rule, Mapping):
        choice = nearest({cls: rule[cls] for cls in rule if not has_decided or issubclass(cls, HandlerDecision)}, error)
    elif rule is not None and not has_decided:
        choice = rule(message, error)
        if choice is not None:
            _check_choice(choice, "what on_failure returned")
    return choice or (Decision.SKIP if isinstance(error, Skip) else Decision.RETRY)


def _check_choice(choice: object, what: str) -> None:
    if not isinstance(choice, Choice):
        raise TypeError(f"{what} is neither a Decision nor Compensate(...): {choice!r}")
