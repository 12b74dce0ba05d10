"""What tests of SFTP have in common: a target, and what goes over the network."""

import re

from asyncssh.connection import SSHConnection

from zeit.cds.credentials import Secret
from zeit.cds.sftp.connection import Connection
from zeit.cds.sftp.target import SFTPTarget


#: All that is sent: packets of SSH, those of the login included.
SSH_WIRE = [(SSHConnection, '_send')]

#: Only what has been asked for: requests of SFTP.
REQUESTS = [(Connection, 'send')]


#: Words of FTP, which nobody who goes by SFTP should read.
FTP_WORDS = re.compile(
    r'\b(ABOR|CWD|DELE|EPRT|EPSV|FEAT|LIST|MDTM|MKD|MLSD|MLST|NLST|PASV|PORT|QUIT|RETR|RMD|RNFR|'
    r'RNTO|SITE|SIZE|STOR|TYPE|FTP|data connection)\b'
)


def target(server, **options):
    """Return a target for the account of an `SSHServer`, logged in by its key."""
    return SFTPTarget.from_options(
        **{
            'host': server.host,
            'port': server.port,
            'user': server.user,
            'directory': server.directory,
            'known_hosts': str(server.known_hosts),
            'ssh_key': str(server.client_key),
            **options,
        }
    )


def scripted_target(server, **options):
    """Return a target for `/cds` on a `SFTPFaultServer`."""
    return SFTPTarget.from_options(
        **{
            'host': server.host,
            'port': server.port,
            'user': server.user,
            'password': Secret(server.password),
            'directory': '/cds',
            'host_key': (server.fingerprint,),
            'connect_timeout': 5,
            'reply_timeout': 5,
            'data_timeout': 5,
            **options,
        }
    )
