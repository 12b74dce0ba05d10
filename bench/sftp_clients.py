"""Who takes part over SFTP, with a key, and a host key that is known."""

from bench import clients
from bench.rows import SFTP, SFTP_LFTP, SFTP_LOCK, SFTP_RCLONE
from zeit.cds.testing.daemon import servers_directory


class ZeitCDSSFTP(clients.ZeitCDS):
    """This package."""

    sftp = True

    def command(self, job):
        """See `Client`."""
        program, verb, *options, _ = super().command(job)
        options += [f'--ssh-key={job.ssh.key}', f'--known-hosts={job.ssh.known_hosts}']
        return [program, verb, *options,
                f'sftp://{job.user}@{job.host}:{job.port}{job.ssh.directory}']  # fmt: skip


class Batch(clients.Client):
    """OpenSSH's `sftp -b`, with the steps of the lock, and temporary files, by a script.

    A directory keeps other exporters out; the partner's lock is looked for in a listing, which
    nobody reads here; then come the lock, the files, each renamed, and the removal of both.
    """

    name = SFTP_LOCK
    sftp = True

    def version(self):
        """See `Client`."""
        return clients.first_version('ssh', '-V')

    def command(self, job):
        """See `Client`."""
        (job.work / 'write').write_text('exporter\n')
        lines = [f'cd {job.ssh.directory}', 'mkdir write.guard', 'ls -1', f'put {job.work}/write']
        for path in sorted(job.files.iterdir()):
            # By fsync@openssh.com, as we do; and over what is there, as rename does by itself.
            lines += [f'put -f {path} {path.name}.part', f'rename {path.name}.part {path.name}']
        lines += ['rm write', 'rmdir write.guard']
        script = job.work / 'sftp.batch'
        script.write_text('\n'.join(lines) + '\n')
        return ['sftp', '-q', '-b', script, '-P', str(job.port), *_ssh(job),
                f'{job.user}@{job.host}']  # fmt: skip


class LftpSFTP(clients.Lftp):
    """lftp's `mirror -R` over SFTP, with temporary files: it goes by the program ssh."""

    sftp = True

    def command(self, job):
        """See `Client`."""
        program = ' '.join(map(str, ['ssh', '-a', '-x', *_ssh(job)]))
        settings = (
            'net:max-retries 2', 'net:timeout 20', 'xfer:use-temp-file yes',
            f'sftp:connect-program "{program}"',
        )  # fmt: skip
        script = job.work / 'lftp.script'
        script.write_text(
            ''.join(f'set {setting}\n' for setting in settings)
            + f'open -u {job.user},none -p {job.port} sftp://{job.host}\n'
            + f'mirror -R {job.files} {job.ssh.directory} --parallel={job.connections}\n'
        )
        return [*self.program, '-f', script]


class RcloneSFTP(clients.Rclone):
    """rclone's `copy` over SFTP: with a temporary name and a rename, as it comes."""

    sftp = True

    def command(self, job):
        """See `Client`."""
        options = ['--config=', f'--transfers={job.connections}']
        return [self._program, 'copy', *options, job.files, f':sftp:{job.ssh.directory}']

    def environment(self, job):
        """See `Client`."""
        return {
            **clients.Client.environment(self, job),
            'RCLONE_SFTP_HOST': job.host,
            'RCLONE_SFTP_PORT': str(job.port),
            'RCLONE_SFTP_USER': job.user,
            'RCLONE_SFTP_KEY_FILE': str(job.ssh.key),
            'RCLONE_SFTP_KNOWN_HOSTS_FILE': str(job.ssh.known_hosts),
        }


def _ssh(job):
    """Return the options by which OpenSSH's programs know the account and the server."""
    settings = f'UserKnownHostsFile={job.ssh.known_hosts}', 'IdentitiesOnly=yes', 'BatchMode=yes'
    return ['-F', 'none', '-i', job.ssh.key, *(w for each in settings for w in ('-o', each))]


#: All of them, in the order of the tables.
CLIENTS = {
    client.name: client
    for client in (
        ZeitCDSSFTP(SFTP),
        Batch(),
        LftpSFTP(SFTP_LFTP),
        RcloneSFTP(SFTP_RCLONE, servers_directory() / 'rclone' / 'bin' / 'rclone'),
    )
}
