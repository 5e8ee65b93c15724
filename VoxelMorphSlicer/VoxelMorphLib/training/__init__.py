"""Training of registration networks: data, recipes, trainer, export."""
