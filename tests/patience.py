"""How long tests wait. It only ends what hangs, however busy the machine is; no test judges by it."""

PATIENCE_S = 900.0
"""For whatever must come. Less than pytest's own limit, so that what did not come is named."""
ACK_S = 60.0
"""For a bot's first answer. Discord's 3 s are judged where a test sets them, and by `bench ack`."""
