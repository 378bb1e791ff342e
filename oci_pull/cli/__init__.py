"""What a person types and reads: arguments in, rendering out, exit codes."""
