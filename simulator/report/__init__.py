"""What people read of a run: made from its journals alone."""
