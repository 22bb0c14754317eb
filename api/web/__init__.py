"""The web pages: a gallery for members, and a page for operators."""
