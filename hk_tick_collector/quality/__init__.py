"""Quality: what is proven about a day, what is missing from it, and what is not proven."""
