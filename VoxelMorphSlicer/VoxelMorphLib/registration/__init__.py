"""Two images in, one registration out: network space, affine start, deformable stage, pipeline."""
