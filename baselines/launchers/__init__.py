"""Small files that the user's own interpreter runs: each mends what keeps a program from starting, and starts it."""
