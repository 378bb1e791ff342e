"""What a command does beside a pull: one module each."""
