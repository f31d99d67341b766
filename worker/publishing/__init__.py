"""Back to the shop: a finished video is put where the product is that it was made for."""
