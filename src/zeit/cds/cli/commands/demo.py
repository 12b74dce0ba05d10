"""The sub-command `demo`."""

import click

from zeit.cds.cli import options
from zeit.cds.cli.commands import command


@click.command(cls=options.Command, short_help='Show an export, on this machine only.')
@command
def demo(console, zcml):
    """Show an export to an FTP server that runs for a moment on this machine.

    \b
      zeit-cds demo

    It fills a spool in a temporary folder, starts an FTP server on 127.0.0.1,
    delivers, and shows both sides before and after.  Nothing is left behind.
    """
    from zeit.cds.cli.demo import run

    return run(console)
