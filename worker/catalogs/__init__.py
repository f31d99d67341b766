"""Catalogs: a shop's products, read from a file or an address, become a batch; what did not change costs nothing."""
