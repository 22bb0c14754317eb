"""/history: browse past pictures."""
