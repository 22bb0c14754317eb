"""/operator: commands for those who run the bot."""
