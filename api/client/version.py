"""The version of the client, by which it names itself to the service."""

__version__ = "0.1.0"
