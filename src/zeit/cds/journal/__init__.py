"""What a spool remembers: `.cds/journal`, what is open; `.cds/history`, what has happened.

It knows lines, kinds of lines and months, and neither the files of the spool nor a server. Open
`kinds` first: what each line says; then `journal`, which writes and reads them, and `append_log`,
which makes a line durable. `history` has the receipts, and `search` says which are meant;
`copied_spool` has what a copy does not touch.
"""
