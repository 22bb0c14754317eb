"""/usage: what members and servers used."""
