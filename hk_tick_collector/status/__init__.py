"""What is said of a recorder: `recorder.json`, health, metrics, log lines, and the acceptance targets."""
