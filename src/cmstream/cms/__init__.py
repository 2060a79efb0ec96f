"""EnvelopedData and AuthEnvelopedData (RFC 5652, RFC 5083), without their recipients."""
