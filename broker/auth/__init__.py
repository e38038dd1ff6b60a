"""Who may come in, and why not: pure."""
