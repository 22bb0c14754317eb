"""Messages of finished jobs, their buttons, and the context menus of a message."""
