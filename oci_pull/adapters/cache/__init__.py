"""The cache on disk: verified blobs and unfinished ones, unpacked archives, trees, tags."""
