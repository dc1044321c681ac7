"""Vectors of regions and what they show in, the machines, heads and regressors of a detector out."""
