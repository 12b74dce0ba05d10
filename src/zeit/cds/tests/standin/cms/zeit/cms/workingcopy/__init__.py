"""Where content is while somebody works on it."""
