"""Greet new servers and record which servers have the bot."""
