"""Webhooks out: every event that an endpoint asks for is delivered to it, signed, until it is taken or given up."""
