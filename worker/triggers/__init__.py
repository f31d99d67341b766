"""Webhooks in: a shop's signed message becomes a render, or is kept with the reason why not."""
