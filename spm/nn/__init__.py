"""Training networks with spatial pyramid pooling: images and labels in, a trained network out. Needs torch."""
