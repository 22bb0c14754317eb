"""/rules: content rules of a server."""
