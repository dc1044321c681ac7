"""Learning to detect: images with their objects in, machines, a head and box regressors out."""
