"""/quota: limits for members and roles."""
