"""Watches the recorder from inside: stalls and their cure, signs of life for the supervisor, stacks on demand."""
