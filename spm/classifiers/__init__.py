"""Classifiers: vectors, or their kernel, and labels in, what tells the labels of new ones out."""
