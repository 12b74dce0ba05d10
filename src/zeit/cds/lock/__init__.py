"""The lock-file convention of a CDS directory, over an `ISession`: `write` and `read`.

Making a lock, knowing whose one is, giving it back; and what a killed run has left behind the lock
is put in order. It knows no spool. Open `lock` first.
"""
