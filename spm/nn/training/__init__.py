"""Training: images and labels in, a trained network out, also taken up again, and by several processes."""
