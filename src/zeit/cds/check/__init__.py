"""What `zeit-cds check` finds out before there is a delivery: here, and on the server.

Each question is a small function that returns `Finding`s, and each side has one table of them:
`local` asks the system, `server` gets us there under the lock, and `questions` are asked there.
"""
