"""Folders and files of PASCAL VOC, COCO and YOLO in, images with their objects out, and back."""

from .any import load_objects
from .coco import load_coco, save_coco
from .voc import load_voc, save_voc
from .yolo import load_yolo, save_yolo

__all__ = ["load_coco", "load_objects", "load_voc", "load_yolo", "save_coco", "save_voc", "save_yolo"]
