"""The command ``cmstream``: a file for each subcommand, and what they share."""
