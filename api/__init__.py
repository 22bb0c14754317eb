"""HTTP: what the service does, for programs. Imports service and stores as cogs do."""
