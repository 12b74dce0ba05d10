"""A table with very many rows, which take a fifth of the memory of dictionaries."""

import collections.abc
import marshal


class Packed(collections.abc.MutableMapping):
    """Like a dictionary of rows by key, which are dictionaries: what is returned is a copy.

    A key is a tuple of one int.  Values of a row are what JSON has.
    """

    def __init__(self):
        self._rows = {}
        #: Which fields rows have, and the place of each such tuple among them.
        self._fields, self._places = [], {}

    def __repr__(self):
        return f'<Packed {len(self)} rows>'

    def __len__(self):
        return len(self._rows)

    def __iter__(self):
        return ((number,) for number in self._rows)

    def __reversed__(self):
        return ((number,) for number in reversed(self._rows))

    def get(self, key, default=None):
        """Return the row with this key, or `default`."""
        packed = self._rows.get(key[0])
        if packed is None:
            return default
        place, *values = marshal.loads(packed)  # noqa: S302 it was packed by this very process
        return dict(zip(self._fields[place], values, strict=True))

    def __getitem__(self, key):
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __setitem__(self, key, row):
        fields = tuple(row)
        if fields not in self._places:
            self._places[fields] = len(self._fields)
            self._fields.append(fields)
        self._rows[key[0]] = marshal.dumps((self._places[fields], *row.values()))

    def __delitem__(self, key):
        del self._rows[key[0]]
