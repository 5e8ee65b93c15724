"""The networks and losses of every recipe."""
