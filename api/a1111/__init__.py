"""The API of the AUTOMATIC1111 web UI, for the programs that speak it."""
