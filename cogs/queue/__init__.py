"""/queue and /cancel: show and cancel waiting jobs."""
