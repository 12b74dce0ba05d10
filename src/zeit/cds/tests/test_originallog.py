"""The comparison of log lines that makes the original document strict."""

import logging
import unittest

from zeit.cds.errors import PermanentError
from zeit.cds.tests import originallog


class BlockTest(unittest.TestCase):
    """Log lines are compared one by one, also where the document's `...` would match more."""

    WANT = 'Accessed filestore ...\nUploading: a\nExiting with success.\n'
    RAISED = (
        'Connecting\nExiting with exception:\nTraceback (most recent call last):\n'
        '  ...\nPermanentError: 530 No.\n...\n'
    )

    def differences(self, want, *messages, raised=None, text=None):
        """Return the differences for a log of `messages`; the last one raised an exception."""
        records = [
            logging.LogRecord('zeit.cds', logging.INFO, 'here.py', 1, message, (), None)
            for message in messages
        ]
        if raised is not None:
            records[-1].exc_info = (type(raised), raised, raised.__traceback__)
        formatter = logging.Formatter()
        got = ''.join(formatter.format(record) + '\n' for record in records) + '\n'
        return originallog.Block(7, want, text(got) if text else got, tuple(records)).differences()

    def raised(self, *, hint='Check it.'):
        try:
            raise PermanentError(530, '530 No.', hint=hint)
        except PermanentError as error:
            return error

    def test_the_same_lines_are_right(self):
        self.assertEqual(
            [], self.differences(self.WANT, 'Accessed filestore /x', 'Uploading: a',
                                 'Exiting with success.')
        )  # fmt: skip

    def test_other_lines_are_wrong(self):
        first, second, third = 'Accessed filestore /x', 'Uploading: a', 'Exiting with success.'
        for messages in (
            (first, third),
            (first, second),
            (second, third),
            (first, second, second, third),
            (first, second, third, 'One more.'),
            ('One more.', first, second, third),
            (first, third, second),
            (first, 'Uploading: b', third),
            ('Accessed filestore ', second, third),
            (f'{first}\nAnother line', second, third),
        ):
            with self.subTest(messages):
                self.assertNotEqual([], self.differences(self.WANT, *messages))

    def test_the_line_is_named(self):
        found = self.differences('a\n', 'a', 'b')
        self.assertIn('line 7: log: unexpected: b', found)

    def test_a_traceback_with_a_note_is_right(self):
        for exception in (self.raised(), self.chained(), self.raised(hint='Two\nlines.')):
            self.assertEqual(
                [],
                self.differences(
                    self.RAISED, 'Connecting', 'Exiting with exception:', raised=exception
                ),
            )

    def chained(self):
        try:
            try:
                raise OSError(111, 'Connection refused')
            except OSError as error:
                raise self.raised() from error
        except PermanentError as error:
            return error

    def test_other_tracebacks_are_wrong(self):
        lines = 'Connecting', 'Exiting with exception:'
        other = self.raised()
        other.args = ('530 Other.',)
        for messages, raised, text in (
            (lines, None, None),
            (lines, self.raised(hint=''), None),
            (lines, other, None),
            (lines, ValueError('530 No.'), None),
            ((*lines, 'One more.'), self.raised(), None),
            (('One more.', *lines), self.raised(), None),
            (lines[1:], self.raised(), None),
            (lines, self.raised(), lambda got: got + 'One more.\n'),
            (lines, self.raised(), lambda got: got.replace('Traceback', 'Trace')),
            (lines, self.raised(), lambda got: got.replace('Check it.\n', '')),
            (lines, self.raised(), lambda got: got.replace('zeit.cds', 'other')),
        ):
            with self.subTest(messages=messages, raised=raised):
                self.assertNotEqual(
                    [], self.differences(self.RAISED, *messages, raised=raised, text=text)
                )

    def test_a_line_after_the_exception_s_record_is_wrong(self):
        found = self.differences(
            self.RAISED, 'Connecting', 'Exiting with exception:', 'After it.', raised=self.raised()
        )
        self.assertIn('line 7: log: unexpected: After it.', found)

    def test_the_module_of_our_exceptions_is_not_compared(self):
        got = 'x\nzeit.cds.errors.PermanentError: 550 No\nother.errors.PermanentError: 1\n'
        self.assertEqual(
            'x\nPermanentError: 550 No\nother.errors.PermanentError: 1\n',
            originallog.normalised(got),
        )
