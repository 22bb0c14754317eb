"""Train and evaluate the built-in model. Not part of the installed package."""
