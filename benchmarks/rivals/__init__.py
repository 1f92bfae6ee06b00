"""Other outboxes, each from its release on PyPI, in an environment and a database of its own."""
