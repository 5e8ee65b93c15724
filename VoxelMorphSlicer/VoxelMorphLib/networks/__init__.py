"""Registration networks: (moving, fixed) image tensors to velocity and displacement fields in voxels."""
