"""Who may do what: one file per credential class, every secret hashed at rest."""
