"""Stories on real services, with real processes; each test's name is a promise.

As a Django app this package brings the handlers of those processes (settings.py names it); the tests' own process does
not install it.
"""

STUMBLES = "stumbles"
"""The tag of a message whose first attempt fails."""

STUMBLES_TWICE = "stumbles twice"
"""The tag of a message whose first two attempts fail."""

REJECTED = "rejected"
"""The tag of a message that is a dead letter at once."""

WAITS = "waits"
"""The tag of a message that is handled when there is an order of the number GO."""

GO = "go"

HANGS = "hangs"
"""The tag of a message whose first attempt never ends, and does nothing."""

WAITS_AGAIN = "waits again"
"""The tag of a message whose first attempt fails, and whose retry waits as WAITS does."""

DIES = "dies"
"""The tag of a message that ends its process once: SCENARIO_DEATH names the file that says that it has."""

KILLS = "kills"
"""The tag of a message that ends its process each time that it is handled, as a mistake in C would."""

KILLS_AGAIN = "kills again"
"""The tag of a message whose first attempt fails, and whose retries end their process each time."""

LOGISTICS = "logistics"
"""What a handler of batches depends on, if SCENARIO_OUTAGE is set; while the file of that name exists, it is down."""
