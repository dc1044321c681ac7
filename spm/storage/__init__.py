"""Saving and loading: a fitted model in, one file out and back; the file holds arrays and plain values, never code."""

from ._trusted import TRUSTED
from .models import FORMAT, load, parts_of, save

__all__ = ["FORMAT", "TRUSTED", "load", "parts_of", "save"]
