"""Image generation: requests, policy, scheduling and the engine. No Discord, no SQL; importing this needs no torch."""
