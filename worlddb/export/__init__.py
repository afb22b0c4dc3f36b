"""Exports: worlds in formats that other programs read."""
