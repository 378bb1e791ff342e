"""What is generated from the command line as it is: completions, the man page, the reference."""
