"""Accounts at the remote backend: identity, token, balance, pauses, admission."""
