"""Disks that fail: what one holds after a power cut, and calls that it refuses."""
