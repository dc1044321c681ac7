"""Encoders: local features in, their codes out."""
