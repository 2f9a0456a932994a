"""Coming from the older recorder: `days` takes its day databases over, `env` its settings."""
