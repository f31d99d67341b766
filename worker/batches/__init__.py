"""Batches: many renders taken on together, steered together, reported together."""
