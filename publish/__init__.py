"""What maintainers run: weights, pictures and tables for the repository."""
