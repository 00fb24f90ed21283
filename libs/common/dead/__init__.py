"""Dead letters: what was given up, and how it is brought back or dropped."""
