"""How fast one relay process empties an outbox, how soon it sends a message, and what it needs for that."""
