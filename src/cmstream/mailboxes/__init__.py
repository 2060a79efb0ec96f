"""Mail that is there already: seals it in its mailbox, and opens it again."""
