"""What has happened to content, for those who edit it."""
