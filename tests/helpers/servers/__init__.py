"""Real mail servers as private instances on the loopback, each in a folder of its own: tests start
and stop them, and none touches what the machine itself has installed."""
