"""Cases on disk to batches of tensors on the training space."""
