"""What all stand on: workers, files written whole, memory, tables, OpenCV and numba, each imported in one place."""
