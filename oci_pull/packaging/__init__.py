"""How producers arrange models into layers: a manifest in, a plan out, no I/O."""
