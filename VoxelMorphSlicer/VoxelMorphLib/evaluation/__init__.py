"""How good a registration is: overlap of structures, distances, similarity, folds and round trips, as rows."""
