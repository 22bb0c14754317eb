"""Python runs this first where its folder is in PYTHONPATH: `ray start` waits as long as a busy machine takes.

That a machine's first process is given up after 30 s is a constant of Ray's.
"""

import sys
import time

_PATIENCE_S = 900.0


def _be_patient() -> None:
    from ray._private import services

    find = services.get_node

    def find_patiently(*arguments):  # type: ignore[no-untyped-def]
        gives_up_at = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return find(*arguments)
            except RuntimeError:
                if time.monotonic() > gives_up_at:
                    raise
                time.sleep(0.1)

    services.get_node = find_patiently


if "ray.scripts.scripts" in sys.orig_argv:
    _be_patient()
