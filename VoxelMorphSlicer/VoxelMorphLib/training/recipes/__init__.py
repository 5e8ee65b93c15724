"""One configuration class for each kind of training."""
