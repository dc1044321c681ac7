"""Detection: an image in, its objects out; the image is convolved once and every region pooled from its map."""
