"""Who to be at a registry: everything that may say so, and what keeps it."""
