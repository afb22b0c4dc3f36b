"""Episodes: an agent at work on a task, and the verdict on what it did."""
