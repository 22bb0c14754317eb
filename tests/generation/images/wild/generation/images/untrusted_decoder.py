"""A decoder that misbehaves: it starts under the real limits, and exceeds them."""

import importlib.util
import pathlib
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[6]
sys.path[:0] = [str(ROOT)]
for package in ("generation", "generation.images"):
    del sys.modules[package]
real = importlib.util.find_spec("generation.images.untrusted_decoder")
module = importlib.util.module_from_spec(real)
sys.modules["generation.images.untrusted_decoder"] = module
real.loader.exec_module(module)


def trip(data, words):
    raise KeyError("secret words of the file")


module._limit()
given = sys.stdin.buffer.read()
if given == b"memory":
    bytearray(4 << 30)
elif given == b"trips":
    module._work = trip
    sys.exit(module.main(sys.argv[1:]))
else:
    threading.Event().wait()
