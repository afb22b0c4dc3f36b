"""Schemas: the nouns of a relational database, how random ones grow, and how they are shown."""
