"""Stand-ins, scenes and sample volumes that the tests share."""
