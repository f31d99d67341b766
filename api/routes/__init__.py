"""The addresses, by resource."""
