"""/imagine and /upscale of an attached file: from typed options to a request."""
