"""Tasks: what an agent is asked to do in a world, its proved gold, and the goal by which it is judged."""
