"""Encoders: local features in, their codes out."""

from .layer import Layer

__all__ = ["Layer"]
