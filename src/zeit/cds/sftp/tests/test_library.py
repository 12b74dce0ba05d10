"""What it costs to have AsyncSSH."""

import os
import subprocess
import sys
import unittest

from zeit.cds.testing import layers
from zeit.cds.tests.folders import in_memory


class ImportTests(unittest.TestCase):
    layer = layers.QUIET

    def test_no_compiler_is_called(self):
        folder = in_memory(self)
        for program in ('gcc', 'cc', 'ld'):
            path = folder / program
            path.write_text(f'#!/bin/sh\necho {program} >>"{folder}/called"\nexit 1\n')
            path.chmod(0o755)
        subprocess.run(
            [sys.executable, '-c', 'import zeit.cds.sftp.session, ctypes.util as util\n'
             'assert util.find_library.__module__ == "ctypes.util", util.find_library'],
            env={**os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}',
                 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
            check=True,
        )  # fmt: skip
        self.assertFalse((folder / 'called').exists())
