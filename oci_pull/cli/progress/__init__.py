"""What is told while a pull runs: on a terminal, in a log, to a program."""
