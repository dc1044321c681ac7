"""The pyramid: codes in, what every cell of ever finer grids holds of them out, and one normalised vector of all."""
