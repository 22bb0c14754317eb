"""IP-Adapters: pictures beside the words of a prompt, each row at a strength of its own."""
