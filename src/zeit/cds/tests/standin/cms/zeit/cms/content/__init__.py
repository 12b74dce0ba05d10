"""What all content has."""
