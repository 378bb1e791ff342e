"""How settings become a source: whom a reference is asked of, as whom, and over which network."""
