"""Model catalogue, downloads, and readers that turn weight files into networks without executing them."""
