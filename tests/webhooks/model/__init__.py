"""Deliveries as they must be, in plain Python, beside the real ones."""
