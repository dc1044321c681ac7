"""Codebooks: many descriptors in, a few words out."""
