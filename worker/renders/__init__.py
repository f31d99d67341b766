"""Renders: states and moves, tables, and the store that writes them."""
