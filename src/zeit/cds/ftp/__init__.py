"""FTP (RFC 959, 2428, 3659, 4217) for one purpose: delivering files for sure.

`parsing` turns bytes into values and back, `protocol` knows which reply may follow which command;
neither of them has ever heard of a socket.  `stream` is a socket with deadlines, in TLS if it is a
`secure` one.  `connection` is one login on a server, and what a session uses; read it first.  It is
put together of parts, each of which uses those before it: `control` sends commands and takes the
answers, `pipelining` sends some before their turn, `files` asks for sizes and gives names,
`transfers` moves files, and `listings` looks into directories.  `opening` and `login` get in;
`data` makes data connections.  `capabilities` is what the server can do, as far as it has shown.
"""
