"""The status page: what `zeit-cds status` tells, and what a person does about it, in a browser.

Nothing else here imports this wing.  `source` finds out what there is, here or from another
machine, as the objects of `status --json`; `status_page` makes of them what is shown: the
`overview` of a spool, its files in `sections`, and `events` of the past.  `rendering` makes HTML of
that, in German or English, `actions` does what a button says.  None of these knows a request of
Zope: the `views` do, and `zeit-cds serve` has its own.  An application includes
`configure.zcml`.
"""
