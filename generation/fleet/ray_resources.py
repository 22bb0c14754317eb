"""What machines of a fleet call what they offer, in Ray's words. Importable without Ray."""

CPU_MEMBERS = "atelier_cpu"
"""The resource by which a machine without cards offers its processor."""
