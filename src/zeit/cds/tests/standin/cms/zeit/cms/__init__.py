"""What zeit.cds needs of zeit.cms, by the names that it has there; for tests."""
