"""Discord on one side, values on the other. The only room that imports discord."""
