"""/privacy: export and erase personal data."""
