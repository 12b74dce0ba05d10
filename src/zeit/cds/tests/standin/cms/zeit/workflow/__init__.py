"""What happens when content is published."""
