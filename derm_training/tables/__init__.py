"""Tables of pictures with labels, in the layouts that people have: rows, splits, which pictures take part."""
