"""RecipientInfos of every kind, written and opened, and the identities that open them."""
