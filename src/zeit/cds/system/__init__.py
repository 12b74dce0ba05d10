"""What the operating system gives: durable files, forks, logs, a netrc file, signals put off.

It knows nothing of spools, servers or runs. Open `files` first: every file that must survive a loss
of power is written and moved there.
"""
