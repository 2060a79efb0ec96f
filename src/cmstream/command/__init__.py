"""The command ``cmstream``: one file for each subcommand, and what they share. A subcommand of the
certificate store is loaded only when it is named; its file has ``add_command(commands)``."""

DEFERRING = "seal"
"""The subcommand that a mail server calls: every ending that isn't the message's own fault or
wrong usage tells it to try again."""
