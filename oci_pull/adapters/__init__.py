"""All input and output, one technology a module; foreign errors become ours where they happen."""
