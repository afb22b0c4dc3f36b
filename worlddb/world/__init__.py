"""Worlds: a schema filled with rows, as a SQLite image."""
