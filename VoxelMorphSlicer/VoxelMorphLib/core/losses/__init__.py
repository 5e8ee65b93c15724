"""What training and optimisation minimise: image similarity, regularisation and overlap; smaller is better."""
