"""Edit and replay: a form that gives back byte for byte what nobody has touched."""
