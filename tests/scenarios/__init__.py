"""Stories on real services, with real processes; each test's name is a promise.

As a Django app this package brings the handlers of those processes (settings.py names it); the tests' own process does
not install it.
"""

STUMBLES = "stumbles"
"""The tag of a message whose first attempt fails."""
