"""What a picture is, who may make it, when, and how. No Discord, no SQL; importing this needs no torch."""
