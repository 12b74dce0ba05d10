"""Numbers and alarms for other programs: metrics, what is overdue, spans of tracing.

Everything is read from the disk, so that all processes say the same. It changes nothing and talks
to no server. Open `metrics` first; the numbers themselves are `zeit.cds.spool.statistics`.
"""
