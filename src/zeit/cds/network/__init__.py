"""TCP, beneath all protocols: each wait has a bound, each error of the system is one of ours.

It knows no protocol, and no option of a server.  `connecting` makes a connection, `resolver` finds
the addresses, `sockets` waits on what never blocks, `deadline` says how long, and `oserrors` what a
failure means.  First: `connecting`.
"""
