"""The demo: records a minute of a simulated session through three accidents, and judges what is stored."""
