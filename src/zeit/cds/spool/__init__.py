"""The local side: a `gocept.filestore` with `tmp/`, `new/` and `cur/`.

How files come in (alone, or together in a transaction), in which order they go, and where they are
put when they are delivered, parked or withdrawn. It knows no server. Open `spool` first,
`withdrawal` for what was retracted while it waited.
"""
