"""What Python sees of the C engine: encoding, decoding, batches, and memory for the answers."""
