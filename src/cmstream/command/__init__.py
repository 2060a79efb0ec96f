"""The command ``cmstream``: one file for each subcommand, and what they share. A file of the
certificate store's has ``add_command(commands)``, which is called when its subcommand is named."""
