"""`python -m bench NAME [--json]`: run one benchmark. Each prints one JSON line last."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType

import bench


def main() -> int:
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    program = _load(asked) if asked in names else None  # this one alone: all together take 20 s
    if program is None or not hasattr(program, "main"):
        programs = [name for name in names if hasattr(_load(name), "main")]
        print(f"usage: python -m bench NAME [--json]\nNAME is one of: {', '.join(programs)}", file=sys.stderr)
        return 2
    return int(program.main(sys.argv[2:]))


def _load(name: str) -> ModuleType:
    return importlib.import_module(f"bench.{name}")


if __name__ == "__main__":
    sys.exit(main())
