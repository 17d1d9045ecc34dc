"""The comparison of a bundle with readers, of two classes or of many."""
