"""Seals files and exported mail into an archive, reads it back without a key, and opens it."""
