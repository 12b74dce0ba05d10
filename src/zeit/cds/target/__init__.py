"""A directory on a server: one session in it, files up and files down.

It moves files safely, over one connection or several, and says what came of each; which ones, in
which order and under which lock is the business of `run` and `lock`.  Open `ftp_session` first,
with the operations over FTP: `base_session` has what it shares with that of SFTP.  `upload` and
`download` use them, and `workers` several sessions at once.  After a download the file on the
server is deleted: by `download` as well.
"""
