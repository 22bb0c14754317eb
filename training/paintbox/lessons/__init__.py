"""The lessons: one module for each network, and the loop they share."""
