"""Translations: lookup, Discord's translator, extraction, and the catalogues in `locale/`."""
