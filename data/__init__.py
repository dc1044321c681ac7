"""What ships with spm: the registry of data sets that can be downloaded."""
