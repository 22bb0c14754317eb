"""The command line: what each command does, and where the rooms are joined (`cli.serve`)."""

__version__ = "0.1.0"
