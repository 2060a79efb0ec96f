"""People who may sign in, and programs that have tokens."""
