"""The file tree of the fault server: what rename(2) and its like do."""

import errno
import os
import unittest

from zeit.cds.testing.ftpstore import FileTree, resolve


class Resolving(unittest.TestCase):
    def test_paths(self):
        for directory, path, expected in (
            ('/', 'a', '/a'),
            ('/d', 'a', '/d/a'),
            ('/d', '/a', '/a'),
            ('/d', '//a', '/a'),
            ('/d', '..', '/'),
            ('/', '../..', '/'),
            ('/d', '.hidden', '/d/.hidden'),
            ('/', '.hidden', '/.hidden'),
            ('/d', '', '/d'),
        ):
            with self.subTest(directory=directory, path=path):
                self.assertEqual(expected, resolve(directory, path))


class Tree(unittest.TestCase):
    def setUp(self):
        self.tree = FileTree({'/a': b'a', '/b': b'b', '/full/x': b'x'}, directories=['/empty'])

    def assert_fails(self, code, function, *args, **kw):
        with self.assertRaises(OSError) as caught:
            function(*args, **kw)
        self.assertEqual(os.strerror(code), caught.exception.strerror)

    def test_rename_replaces_a_file(self):
        self.tree.rename('/a', '/b')
        self.assertEqual({'/b': b'a', '/full/x': b'x'}, self.tree.files())

    def test_rename_takes_along_what_is_inside(self):
        self.tree.rename('/full', '/empty')
        self.assertEqual(b'x', self.tree.read('/empty/x'))
        self.assertEqual(['/empty'], self.tree.directories())

    def test_rename_to_itself(self):
        self.tree.rename('/a', '/a')
        self.assertEqual(b'a', self.tree.read('/a'))

    def test_rename_refused(self):
        for source, target, code in (
            ('/nothing', '/c', errno.ENOENT),
            ('/a', '/nowhere/a', errno.ENOENT),
            ('/a', '/b/c', errno.ENOTDIR),
            ('/a', '/empty', errno.EISDIR),
            ('/empty', '/a', errno.ENOTDIR),
            ('/empty', '/full', errno.ENOTEMPTY),
            ('/full', '/full/sub', errno.EINVAL),
            ('/', '/c', errno.EBUSY),
            ('/a', '/' + 'x' * 256, errno.ENAMETOOLONG),
        ):
            with self.subTest(source=source, target=target):
                files = self.tree.files()
                self.assert_fails(code, self.tree.rename, source, target)
                self.assertEqual(files, self.tree.files())

    def test_removal_refused(self):
        self.assert_fails(errno.ENOTEMPTY, self.tree.remove_directory, '/full')
        self.assert_fails(errno.ENOTDIR, self.tree.remove_directory, '/a')
        self.assert_fails(errno.EBUSY, self.tree.remove_directory, '/')
        self.assert_fails(errno.EISDIR, self.tree.delete, '/empty')
        self.assert_fails(errno.ENOENT, self.tree.delete, '/nothing')

    def test_creation_refused(self):
        self.assert_fails(errno.EEXIST, self.tree.make_directory, '/a')
        self.assert_fails(errno.ENOENT, self.tree.make_directory, '/x/y')
        self.assert_fails(errno.EISDIR, self.tree.open, '/empty', keep=False)
        self.assert_fails(errno.ENOENT, self.tree.open, '/x/y', keep=False)

    def test_open_file_follows_its_node(self):
        node = self.tree.open('/a', keep=False)
        self.assertEqual(b'', self.tree.read('/a'))
        self.tree.rename('/a', '/c')
        self.tree.write(node, b'123', at=0)
        self.tree.write(node, b'45', at=4)
        self.assertEqual(b'123\x0045', self.tree.read('/c'))
        self.tree.delete('/c')
        self.tree.write(node, b'!', at=0)
        self.assertNotIn('/c', self.tree.files())

    def test_put_makes_the_directories_above(self):
        self.tree.put('/x/y/z', b'', modified=0)
        self.assertEqual(['/empty', '/full', '/x', '/x/y'], self.tree.directories())
        self.assertEqual(0, self.tree.stat('/x/y/z').modified)
