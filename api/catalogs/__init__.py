"""Catalogs at the intake: taken on from a file or an address, tried out, shown, changed."""
