"""Tools: what an agent can do in a world, as data; and the sessions in which it does it."""
