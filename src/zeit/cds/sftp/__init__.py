"""An SFTP server's directory as an `ITarget`: AsyncSSH speaks SSH, the requests are made here.

It is loaded only where there is such a server.  `protocol` has requests and answers, without a
socket; `event_loop` lets asyncio go on while somebody waits; `ssh` logs in; `connection` makes
requests over a login, and `shared_connection` replaces it; `directory` says what is there;
`session` is the `ISession` of all that.  First: `session`.
"""
