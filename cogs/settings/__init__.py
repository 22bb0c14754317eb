"""/settings and /style: what a server chooses."""
