"""Messages (RFC 5322, MIME): header blocks, header protection, what is encrypted already."""
