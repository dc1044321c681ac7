"""Trunks: networks of papers, modules and ONNX files in, what of them makes maps of images of any size out."""

from .base import Trunk, shipped_onnx, trunk

__all__ = ["Trunk", "shipped_onnx", "trunk"]
