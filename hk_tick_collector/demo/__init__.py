"""The demo: a minute of a simulated session, recorded through three accidents, and the verdict on what is stored."""
