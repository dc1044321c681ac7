"""Files: written whole or not at all, locked, filled row by row; and those that ship, read."""

from .left import own_folder as own_folder
from .locks import locked as locked
from .locks import locked_folder as locked_folder
from .whole import read_at_most as read_at_most
from .whole import read_shipped as read_shipped
from .whole import write_whole as write_whole
