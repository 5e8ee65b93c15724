"""What the module does with nodes: register, register a sequence, apply, evaluate, map the Jacobian, train."""
