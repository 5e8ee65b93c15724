"""Scene nodes to library objects and back: volumes, transforms, segmentations, sequences, tables of curves."""
