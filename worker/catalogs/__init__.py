"""Shop catalogs: many products, each the subject of a render."""
