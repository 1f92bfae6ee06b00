"""How fast one consumer process handles messages."""
