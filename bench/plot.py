"""Curves as SVG: two axes, some lines, their names at their ends; written by hand."""

import dataclasses
import math


WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 44, 52

#: Distances between lines of text, in pixels.
LINE = 15

#: Told apart by those who do not see all colours as well (Okabe and Ito); ours come first.
COLOURS = ('#0072b2', '#56b4e9', '#d55e00', '#cc79a7', '#009e73', '#e69f00', '#555555')

_STYLE = (
    'text { font: 12px sans-serif; fill: #222 } .title { font-size: 15px; font-weight: bold }'
    ' .grid { stroke: #ddd } .axis { stroke: #222 }'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: what is on it, from where to where; `logarithmic` or not."""

    title: str
    low: float
    high: float
    logarithmic: bool = False

    def place(self, value):
        """Return where a value is, from 0 to 1."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self):
        """Return the values that are written along it."""
        if self.logarithmic:
            first, last = (round(math.log10(v)) for v in (self.low, self.high))
            return [10.0**n for n in range(first, last + 1)]
        rough = (self.high - self.low) / 5
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough)
        return [step * n for n in range(round((self.high - self.low) // step) + 1)]


def axis(title, values, *, logarithmic=False):
    """Return an `Axis` on which all `values` have their place, and round numbers at its ends."""
    if logarithmic:
        low, high = (
            f(math.log10(v)) for f, v in ((math.floor, min(values)), (math.ceil, max(values)))
        )
        return Axis(title=title, low=10.0**low, high=10.0**high, logarithmic=True)
    ticks = Axis(title=title, low=0, high=max(values)).ticks()
    step = ticks[1]
    return Axis(title=title, low=0, high=math.ceil(max(values) / step) * step)


def plot(title, curves, *, x, y):
    """Return the text of an SVG file.

    `curves` is a dictionary of name and list of (x, y); `x` and `y` are `Axis`.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f'<title>{_escaped(title)}</title>',
        f'<style>{_STYLE}</style>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text class="title" x="{LEFT}" y="24">{_escaped(title)}</text>',
        *_axes(x, y),
    ]
    ends = []
    for colour, (name, points) in zip(COLOURS, curves.items(), strict=False):
        places = [(_across(x, a), _up(y, b)) for a, b in points]
        line = ' '.join(f'{a:.1f},{b:.1f}' for a, b in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places]
        ends.append([places[-1][1], name, colour])
    parts += _names(ends)
    return '\n'.join([*parts, '</svg>', ''])


def _axes(x, y):
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in x.ticks():
        at = _across(x, value)
        yield f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom}"/>'
        yield f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{value:,g}</text>'
    for value in y.ticks():
        at = _up(y, value)
        yield f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{value:,g}</text>'
    yield f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>'
    yield f'<line class="axis" x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{bottom}"/>'
    middle = (LEFT + right) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{_escaped(x.title)}</text>'
    middle = (TOP + bottom) / 2
    yield (
        f'<text x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">'
        f'{_escaped(y.title)}</text>'
    )


def _names(ends):
    """Write the names of the curves beside their ends, none of them over another one."""
    last = -math.inf
    for height, name, colour in sorted(ends):
        last = max(height, last + LINE)
        at = WIDTH - RIGHT + 10
        yield f'<text x="{at}" y="{last + 4:.1f}" style="fill: {colour}">{_escaped(name)}</text>'


def _across(x, value):
    return LEFT + x.place(value) * (WIDTH - LEFT - RIGHT)


def _up(y, value):
    return HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM)


def _escaped(text):
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('"', '&quot;')
