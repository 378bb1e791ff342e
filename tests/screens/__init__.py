"""What a person sees of real runs: kept as goldens for the tests, and as pictures for the pages."""
