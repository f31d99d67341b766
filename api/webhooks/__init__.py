"""Webhooks out, as callers see them: endpoints, what was sent to them, and what came of it."""
