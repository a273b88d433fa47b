"""Whether what a site sends costs time in proportion to its size, whatever its shape."""
