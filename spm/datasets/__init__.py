"""Names of data sets in, images (or their paths) and labels out."""

from .._tools.download import get_data_home
from .digits import load_digit_images
from .fetch import fetch_caltech101, fetch_scene15, fetch_voc2007
from .folder import load_folder
from .layouts import MATERIALS, RESERVED_BOXES, make_layouts
from .table import load_table
from .train_list import read_train_list

__all__ = [
    "MATERIALS",
    "RESERVED_BOXES",
    "fetch_caltech101",
    "fetch_scene15",
    "fetch_voc2007",
    "get_data_home",
    "load_digit_images",
    "load_folder",
    "load_table",
    "make_layouts",
    "read_train_list",
]
