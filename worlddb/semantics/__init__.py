"""Semantic types: what a column means, how its values are drawn and recognised."""
