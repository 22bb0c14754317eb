"""/help: list the commands."""
