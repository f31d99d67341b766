"""Batches asked for: read from a list or a file, checked row by row, taken on, shown, steered."""
