"""Many pairs registered one after the other or side by side, with what was done kept and skipped the next time."""
