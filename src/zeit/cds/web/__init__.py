"""The status page without Zope: what `zeit-cds serve` does, a WSGI application and its server.

`server` is waitress, with an end for slow clients, with TLS, and with a clean end of its own;
`access` says who may ask, and how often a wrong password may be given; `routes` answers requests.
What the page shows and what its buttons do is of the wing `browser`.
"""
