"""What several features share: submission, permission checks, rendering, limits. Imports no feature."""
