"""Images made from label maps, and label maps made of nothing, for the training of networks that know no contrast."""
