"""Every kind of RecipientInfo, written and read, and the identities that decrypt their keys."""
