"""What a guild forbids in prompts: the rules as values, how text is made comparable, and the screening. Pure."""
