"""`python -m bench NAME [--json]`: run one benchmark. Each prints one JSON line last."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench


def main() -> int:
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    programs = [name for name in names if hasattr(importlib.import_module(f"bench.{name}"), "main")]
    if len(sys.argv) < 2 or sys.argv[1] not in programs:
        print(f"usage: python -m bench NAME [--json]\nNAME is one of: {', '.join(programs)}", file=sys.stderr)
        return 2
    return int(importlib.import_module(f"bench.{sys.argv[1]}").main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
