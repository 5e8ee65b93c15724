"""Small networks, made-up workers and sample volumes that the tests share."""
