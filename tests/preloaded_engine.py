"""What a server of engine processes has imported before it forks: see `tests.forked_engines`."""

import gc

gc.disable()

import generation.engine.engine  # noqa: E402, F401

gc.freeze()
