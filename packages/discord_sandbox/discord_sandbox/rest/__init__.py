"""REST v10 on loopback: `server` reads requests and answers them, the other modules are the routes by topic."""
