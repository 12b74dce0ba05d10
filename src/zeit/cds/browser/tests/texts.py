"""The texts of the page as a translator gets them: out of the templates, and out of the code."""

import ast
import html.parser
import json

from zeit.cds.browser.rendering import HERE


class Template(html.parser.HTMLParser):
    """Collects in `found` what a template has translated, as Chameleon tells it."""

    VOID = 'meta', 'link', 'input'

    def __init__(self, path):
        super().__init__()
        self.found, self._open = set(), []
        self.feed(path.read_text('utf-8'))
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        for name in attrs.get('i18n:attributes', '').split():
            self.found.add(attrs[name])
        if self._open and 'i18n:name' in attrs:
            self._say(f'${{{attrs["i18n:name"]}}}')
        if tag not in self.VOID:
            self._open.append([] if attrs.get('i18n:translate') == '' else
                              None if 'i18n:name' in attrs else self._inner())  # fmt: skip

    handle_startendtag = handle_starttag

    def _inner(self):
        return None

    def _say(self, text):
        if self._open and self._open[-1] is not None:
            self._open[-1].append(text)

    handle_data = _say

    def handle_endtag(self, tag):
        texts = self._open.pop()
        if texts is not None:
            self.found.add(' '.join(''.join(texts).split()))


def of_code(path):
    """Return the texts in a module, each an argument of `_`."""
    calls = (node for node in ast.walk(ast.parse(path.read_text('utf-8')))
             if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == '_')  # fmt: skip
    return {node.args[0].value for node in calls if isinstance(node.args[0], ast.Constant)}


def all_texts():
    """Return all texts of the wing, a set."""
    found = set()
    for path in HERE.glob('*.pt'):
        found |= Template(path).found
    for path in HERE.glob('*.py'):
        found |= of_code(path)
    return found


#: The folder of the translations, and those by language.
LOCALES = HERE / 'locales'


def po(language):
    """Return the path of what a translator edits."""
    return LOCALES / language / 'LC_MESSAGES' / 'zeit.cds.po'


def compiled(path):
    """Return what belongs into the `.mo` beside a `.po` file (bytes)."""
    from pythongettext.msgfmt import Msgfmt

    with path.open('rb') as file:
        return Msgfmt(file).get()


def translations(path):
    """Return what is in a `.po` or `.pot` file: translations by text."""
    found, key, field = {}, None, ''
    for line in path.read_text('utf-8').splitlines():
        if line.startswith('msgid '):
            key, field = ast.literal_eval(line[6:]), 'id'
        elif line.startswith('msgstr '):
            found[key], field = ast.literal_eval(line[7:]), 'str'
        elif line.startswith('"') and field == 'id':
            key += ast.literal_eval(line)
        elif line.startswith('"') and field == 'str':
            found[key] += ast.literal_eval(line)
    found.pop('', None)
    return found


HEADER = """\
# The status page of zeit.cds.
# After a change: bin/python -m zeit.cds.browser.tests.texts
msgid ""
msgstr ""
"Project-Id-Version: zeit.cds\\n"
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Domain: zeit.cds\\n"
"""


def write(path, texts, *, language=''):
    """Write a `.po` or `.pot` file of `texts`, translations by text."""
    quoted = (
        f'\nmsgid {_quoted(text)}\nmsgstr {_quoted(translation)}\n'
        for text, translation in sorted(texts.items())
    )
    path.write_text(HEADER.format(language=language) + ''.join(quoted), 'utf-8')


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)


def main():
    """Write the template, and all translations with what is new and empty in them."""
    texts = all_texts()
    write(LOCALES / 'zeit.cds.pot', dict.fromkeys(texts, ''))
    for path in LOCALES.glob('*/LC_MESSAGES/zeit.cds.po'):
        known = translations(path)
        language = path.parts[-3]
        write(path, {text: known.get(text, '') for text in texts}, language=language)
        path.with_suffix('.mo').write_bytes(compiled(path))


if __name__ == '__main__':
    main()
