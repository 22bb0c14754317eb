"""Follow accepted jobs and post their progress and results."""
