"""What zeit.cds needs of zope.app.appsetup, by the names that it has there; for tests."""
