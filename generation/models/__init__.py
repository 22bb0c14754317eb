"""The models folder: what lies there, adding to it, and checking it. Nothing here loads a model or needs torch."""
