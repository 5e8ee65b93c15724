"""Imitations of the files in Base/Python/slicer of Slicer's sources that slicer-core lacks, under Slicer's names."""
