"""Ask another service something over HTTP: where one may go, going there, and proving who asks."""
