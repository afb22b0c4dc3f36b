"""Families of tasks: each module proposes plans of one kind."""
