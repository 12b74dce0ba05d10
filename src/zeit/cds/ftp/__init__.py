"""FTP (RFC 959, 2428, 3659, 4217) for one purpose: delivering files for sure.

`wire` turns bytes into values and back, `protocol` knows which reply may follow which command;
neither of them has ever heard of a socket.  `stream` is a socket with deadlines, `connection` one
login on a server that puts the three together, `transfers` what goes over data connections.
"""
