"""The program that trains and judges the built-in model. It is not part of the installed package."""
