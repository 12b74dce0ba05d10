"""How a server is reached: the values that a connection is made from."""

import dataclasses

from zeit.cds.ftp.tls import TLS


#: The usual port where it is not 21; registered with IANA for FTP over TLS.
PORTS = {'implicit': 990}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How to reach a server.  Time-outs in seconds.

    `port` is 21, or 990 for implicit TLS, unless it is given.
    `connect_timeout` is for a TCP connection, `reply_timeout` for a whole reply, `data_timeout`
    for each piece of a transfer (256 KiB): with the default of 60 s slower than about 4 KiB/s is
    a stall.
    """

    host: str
    port: int | None = None
    user: str = 'anonymous'
    password: object = dataclasses.field(default=None, repr=False)
    directory: str = '/'
    encoding: str = 'utf-8'
    connect_timeout: float = 30
    reply_timeout: float = 60
    data_timeout: float = 60
    tls: TLS = TLS()

    def __post_init__(self):
        if self.port is None:
            object.__setattr__(self, 'port', PORTS.get(self.tls.mode, 21))
