"""Atelier's own API: a request becomes a job that can be followed, cancelled and made again."""
