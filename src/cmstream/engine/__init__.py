"""The C engine as Python sees it: encoding, decoding, batches, and memory for the answers."""
