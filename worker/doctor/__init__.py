"""Looks at everything an installation needs, one thing after the other, and says what to do about what is wrong.

The order is `examination.CHECKS`; each check is a file. Nothing here costs credits: the backend is asked for a token, a
session, its state and the balance, never for a generation, an upload or an export.
"""
