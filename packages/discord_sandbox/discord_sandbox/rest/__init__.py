"""REST v10 on loopback: `wire` reads and answers, the other modules are the routes by topic."""
