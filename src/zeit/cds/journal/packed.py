"""A table with very many rows, which take a fifth of the memory of dictionaries."""

import collections
import collections.abc
import marshal


#: Into so many groups rows are put, by their name.
_GROUPS = 4096

#: So many bytes behind a packed row are of the hash of its name, and tell which fields it has.
_HASH, _PLACE = 6, 4

#: So much of a hash is used.
_MASK = 2 ** (8 * _HASH) - 1


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
        name, values = _hashed(row.get('name')), marshal.dumps((*row.values(),))
        if fields not in self._places:
            self._places[fields] = len(self._fields).to_bytes(_PLACE, 'big')
            self._fields.append(fields)
        before = self._rows.get(number)
        if before is None or _name(before) != name:
            self._leave_group(before, number)
            self._group(name).append(number)
        self._rows[number] = values + name + self._places[fields]

    def __delitem__(self, key):
        self._leave_group(self._rows.pop(key[0]), key[0])

    def _group(self, name):
        return self._groups[int.from_bytes(name, 'big') % _GROUPS]

    def _leave_group(self, packed, number):
        if packed is not None:
            self._group(_name(packed)).remove(number)

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
        wanted = _hashed(name)
        for number in self._group(wanted):
            packed = self._rows[number]
            if _name(packed) == wanted:
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


def _hashed(name):
    """Return what is behind a row with this name."""
    return (hash(name) & _MASK).to_bytes(_HASH, 'big')


def _name(packed):
    return packed[-_HASH - _PLACE : -_PLACE]


def _place(packed):
    return int.from_bytes(packed[-_PLACE:], 'big')


def _column(fields, field):
    return fields.index(field) if field in fields else -1
