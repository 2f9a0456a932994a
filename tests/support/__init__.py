"""What several test modules share. Found through `pythonpath = ["tests"]`."""
