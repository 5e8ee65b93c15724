"""Files <-> images and transforms; the only place that knows LPS, ITK's axis order and file headers."""
