"""The original document of 2009 passes as it is: the acceptance test of the export."""

import logging
import os
import pathlib
import socket
import sys
import tempfile
import threading
import unittest
from unittest import mock

from zeit.cds.testing import ports
from zeit.cds.testing.layers import QUIET
from zeit.cds.tests import original


#: Seconds to wait while another checkout's test run uses the ports of the document.
PATIENCE = 300


class InTurn(unittest.TestCase):
    """The document's ports are fixed: one test of the machine at a time has them."""

    layer = QUIET

    def setUp(self):
        super().setUp()
        self.enterContext(ports.Reservation(port=original.SERVED, patience=PATIENCE))


def is_served(port):
    """Tell whether anybody listens on a port of localhost."""
    try:
        socket.create_connection(('localhost', port), timeout=30).close()
    except OSError:
        return False
    return True


class OriginalDocumentTest(InTurn):
    def test_passes_unmodified(self):
        try:
            outcome = original.run(self.document(os.environ), name='README.txt')
        except original.Unusable as error:
            raise self.failureException(str(error)) from None
        if outcome.problems:
            self.fail('The original document fails:\n' + '\n'.join(outcome.problems))
        self.assertGreater(outcome.attempted, 0)
        self.assertGreater(len(outcome.blocks), 0)

    def document(self, environ):
        """Return the text; without one skip the test."""
        try:
            return original.find(environ).read_text('utf-8')
        except original.Unusable as error:
            self.skipTest(str(error))

    def test_a_missing_document_is_skipped_with_a_line_that_helps(self):
        environ = {original.VARIABLE: '/nonexistent/README.txt'}
        with self.assertRaises(unittest.SkipTest) as caught:
            self.document(environ)
        self.assertIn('ZEIT_CDS_ORIGINAL_README=/nonexistent/README.txt', str(caught.exception))

    def test_without_it_nobody_is_told_a_path_of_this_machine(self):
        with self.assertRaises(original.Unusable) as caught:
            with mock.patch.object(original, 'BESIDE', 'no/where.txt'):
                original.find({})
        self.assertIn(f'{original.VARIABLE}=/path/to/README.txt', str(caught.exception))
        self.assertNotIn('where', str(caught.exception))

    def test_the_variable_comes_before_the_folder_beside_the_checkout(self):
        with tempfile.NamedTemporaryFile() as file:
            self.assertEqual(pathlib.Path(file.name), original.find({original.VARIABLE: file.name}))


class RunTest(InTurn):
    """What `original.run` leaves behind, and what it does not let pass."""

    SERVER = """
    >>> from pyftpdlib import ftpserver
    >>> ftpserver.log = ftpserver.logline = lambda msg: None
    >>> class MyFTPHandler(ftpserver.FTPHandler):
    ...     pass
    >>> ftpd = ftpserver.FTPServer(('', 2001), MyFTPHandler)
    >>> import asyncore
    >>> stop_serving = False
    >>> def serve():
    ...     while asyncore.socket_map:
    ...         asyncore.poll(0.01, asyncore.socket_map)
    ...         if stop_serving:
    ...             ftpd.close_all()
    >>> import threading
    >>> thread = threading.Thread(target=serve)
    >>> thread.start()
    """

    def run_document(self, text):
        return original.run(text, name='test')

    def test_python_2_is_translated(self):
        outcome = self.run_document(
            """
            >>> import StringIO
            >>> f = StringIO.StringIO()
            >>> f.write('abc')
            >>> def show():
            ...     print f.getvalue()
            >>> show()
            abc
            >>> print 'print x', 1
            print x 1
            """
        )
        self.assertEqual((6, []), (outcome.attempted, outcome.problems))

    def test_a_wrong_expectation_is_reported(self):
        self.assertIn('Expected:\n    2', self.run_document('>>> print 1\n2\n').problems[0])

    def test_whitespace_and_ellipsis_are_all_that_is_tolerated(self):
        tolerated = self.run_document(">>> print 'a  b c'\na b ...\n")
        self.assertEqual([], tolerated.problems)
        for text in (
            ">>> raise ValueError('x')\nTraceback (most recent call last):\nValueError: y\n",
            '>>> print 1 # doctest:\n2\n',
            ">>> print 'A'\na\n",
        ):
            with self.subTest(text):
                self.assertEqual(1, self.run_document(text).failed)

    def test_the_server_ends_with_the_document_that_forgets_it(self):
        self.assertEqual([], self.run_document(self.SERVER).problems)
        self.assertEqual([], [t for t in threading.enumerate() if '(serve)' in t.name])
        self.assertFalse(is_served(original.SERVED))

    def test_an_error_of_the_server_is_a_problem(self):
        outcome = self.run_document(
            self.SERVER.replace('pass', "def on_connect(self): raise ValueError('inside')")
            + """
    >>> import socket
    >>> client = socket.create_connection(('localhost', 2001), timeout=30)
    >>> client.recv(100)
    b''
    >>> client.close()
    """
        )
        self.assertIn('ValueError: inside', '\n'.join(outcome.problems))

    def test_modules_directories_and_logging_are_what_they_were(self):
        def state():
            root = logging.getLogger()
            names = ('StringIO', 'asyncore', 'pyftpdlib.ftpserver')
            modules = [sys.modules.get(name) for name in names]
            return modules, tempfile.gettempdir(), root.level, root.handlers[:]

        import pyftpdlib.handlers  # noqa: F401 imports asyncore

        before = state()
        outcome = self.run_document(
            """
            >>> import StringIO, asyncore, logging, tempfile
            >>> from pyftpdlib import ftpserver
            >>> asyncore.socket_map is ftpserver.loop.socket_map
            True
            >>> logging.root.addHandler(logging.NullHandler())
            >>> logging.root.setLevel(7)
            >>> print tempfile.mkdtemp()
            """
        )
        self.assertEqual(1, outcome.failed)
        self.assertEqual(before, state())
        directory = outcome.report.split('Got:')[1].strip()
        self.assertIn('zeit.cds-original-', directory)
        self.assertFalse(os.path.exists(os.path.dirname(directory)))


class PortsTest(InTurn):
    def test_a_port_that_is_taken_is_named(self):
        for port in (original.SERVED, original.UNSERVED):
            with self.subTest(port), socket.create_server(('127.0.0.1', port)):
                with self.assertRaisesRegex(original.Unusable, f'Port {port} .* is taken by'):
                    original.run('>>> 1\n1\n', name='test')

    def test_one_port_listens_and_the_other_one_refuses(self):
        with original.reserved_ports():
            self.assertTrue(is_served(original.SERVED))
            self.assertFalse(is_served(original.UNSERVED))

    def test_a_connection_of_an_earlier_run_is_no_obstacle(self):
        with original.reserved_ports() as listener:
            with socket.create_connection(('localhost', original.SERVED), timeout=30):
                # The server's side closes first, so it is the one in TIME_WAIT.
                listener.accept()[0].close()
        with original.reserved_ports():
            pass

    def test_an_address_that_this_machine_lacks_is_left_out(self):
        addresses = socket.getaddrinfo('localhost', None, type=socket.SOCK_STREAM)
        # TEST-NET-1 of RFC 5737: nobody's.
        lacking = socket.getaddrinfo('192.0.2.99', None, type=socket.SOCK_STREAM)
        with mock.patch.object(original, '_localhost', return_value=[*lacking, *addresses]):
            with original.reserved_ports():
                self.assertTrue(is_served(original.SERVED))
