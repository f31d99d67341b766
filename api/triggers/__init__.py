"""Triggers at the intake: a shop's signed messages, and what their owners see and say of them."""
