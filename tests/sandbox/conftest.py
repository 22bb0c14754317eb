"""Loads discord.py once, before warnings become errors: on Python 3.11 it imports the deprecated `audioop`."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord  # noqa: F401
