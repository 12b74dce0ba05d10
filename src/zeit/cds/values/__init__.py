"""Values without input, output or a clock: what a run is to do, and what it reports.

They decide (which file comes next, when to give up, how soon to try again) and are passed around;
whoever has a socket, a file or a clock asks them. Open `plan` first.
"""
