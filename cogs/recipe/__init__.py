"""/recipe and /reproduce: show how a picture was made, and make it again."""
