"""A table with very many rows, which take a fifth of the memory of dictionaries."""

import collections
import collections.abc
import marshal


#: Into so many groups rows are put, by their name.
_GROUPS = 4096

#: So many bytes behind a packed row are of the hash of its name, and tell which fields it has.
_HASH, _PLACE = 4, 4

#: So much of a hash is used.
_MASK = _GROUPS * 2 ** (8 * _HASH) - 1


class Packed(collections.abc.MutableMapping):
    """Like a dictionary of rows by key, which are dictionaries: what is returned is a copy.

    A key is a tuple of one int.  Values of a row are what JSON has.  Rows with a `name`, and those
    with a field that few have, are found without a look at all others.
    """

    def __init__(self):
        self._rows = {}
        #: Which fields rows have, and the place of each such tuple among them.
        self._fields, self._places = [], {}
        #: The keys of rows, by the group of their name: much smaller than a dictionary of names.
        self._groups = collections.defaultdict(list)

    def __repr__(self):
        return f'<Packed {len(self)} rows>'

    def __len__(self):
        return len(self._rows)

    def __iter__(self):
        return ((number,) for number in self._rows)

    def __reversed__(self):
        return ((number,) for number in reversed(self._rows))

    def __contains__(self, key):
        return key[0] in self._rows

    def get(self, key, default=None):
        """Return the row with this key, or `default`."""
        packed = self._rows.get(key[0])
        return default if packed is None else self._unpacked(packed)

    def _unpacked(self, packed):
        # It was packed by this very process; what is behind it is left alone.
        return dict(zip(self._fields[_place(packed)], marshal.loads(packed), strict=True))  # noqa: S302

    def __getitem__(self, key):
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __setitem__(self, key, row):
        (number,), fields = key, (*row,)
        if fields not in self._places:
            self._places[fields] = len(self._fields).to_bytes(_PLACE, 'big')
            self._fields.append(fields)
        group, name = self._group(row.get('name'))
        before = self.get(key)
        if before is None or before.get('name') != row.get('name'):
            self._leave_group(before, number)
            group.append(number)
        self._rows[number] = marshal.dumps((*row.values(),)) + name + self._places[fields]

    def __delitem__(self, key):
        self._leave_group(self[key], key[0])
        del self._rows[key[0]]

    def _group(self, name):
        """Return the group of rows with this name, and what is behind such a row."""
        known = hash(name) & _MASK
        return self._groups[known % _GROUPS], (known // _GROUPS).to_bytes(_HASH, 'big')

    def _leave_group(self, row, number):
        if row is not None:
            self._group(row.get('name'))[0].remove(number)

    def find(self, **wanted):
        """Return the rows that have these values, a list: those of one name in the order of time.

        A `name` is looked up.  Else all rows are read that have these fields.
        """
        if 'name' in wanted:
            rows = self._with_name(wanted['name'])
        else:
            rows = self._having(lambda fields: wanted.keys() <= {*fields})
        return [row for row in rows if wanted.items() <= row.items()]

    def _with_name(self, name):
        group, behind = self._group(name)
        for number in group:
            packed = self._rows[number]
            if packed[-_HASH - _PLACE : -_PLACE] == behind:
                yield self._unpacked(packed)

    def having(self, *fields):
        """Yield the rows that have one of these fields, in the order of time."""
        return self._having(lambda there: not {*there}.isdisjoint(fields))

    def _having(self, fits):
        places = {place for place, fields in enumerate(self._fields) if fits(fields)}
        if not places:
            return
        for packed in self._rows.values():
            if _place(packed) in places:
                yield self._unpacked(packed)

    def columns(self, *fields, backwards=False):
        """Yield the values of these `fields` of all rows, None for what a row has not.

        It is faster than to look at each row.
        """
        columns = [[_column(there, field) for field in fields] for there in self._fields]
        rows = self._rows.values()
        for packed in reversed(rows) if backwards else rows:
            values = *marshal.loads(packed), None  # noqa: S302 it was packed by this very process
            yield [values[column] for column in columns[_place(packed)]]


def _place(packed):
    return int.from_bytes(packed[-_PLACE:], 'big')


def _column(fields, field):
    return fields.index(field) if field in fields else -1
