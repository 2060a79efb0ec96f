"""The protocols of the gateway: bytes in, events and bytes out. Nothing here opens a socket, waits,
or knows of certificates."""
