"""Features: an image in, its local features out, whichever way they are made."""
