"""Certificate files, from any container, and the keys in them."""
