"""FTP (RFC 959, 2428, 3659, 4217) for one purpose: delivering files for sure.

`parsing` turns bytes into values and back, `protocol` knows which reply may follow which command;
neither of them has ever heard of a socket.  `stream` is a socket with deadlines, `connection` one
login on a server that puts the three together, and has its data connections in `data`.  Upon that,
`pipelining` sends commands before their turn, `transfers` moves files, and `listings` looks into
directories: its `ListingConnection` is what a session uses.  `capabilities` is what the server can
do, as far as it has shown.
"""
