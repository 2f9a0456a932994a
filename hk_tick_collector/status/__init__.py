"""How a recorder's state is reported: `recorder.json`, health, metrics, log lines, and the acceptance targets."""
