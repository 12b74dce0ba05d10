"""A directory on a server: one session in it, files up and files down.

It moves files safely, over one connection or several, and says what came of each; which ones, in
which order and under which lock is the business of `run` and `lock`.  Open `session` first, which
offers operations over FTP: `base_session` has what it shares with the one over SFTP.  `upload` and
`download` use them, and `workers` several sessions at once.  After a download the file on the
server is deleted: by `download` as well.
"""
