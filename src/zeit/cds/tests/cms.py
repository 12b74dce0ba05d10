"""The stand-in for zeit.cms: packages that are importable only where a test asks for them.

`standin/cms` has `zeit.cms` and `standin/appsetup` has `zope.app.appsetup`, as far as zeit.cds
knows of them, by their exact names.  Those of zeit.cms were compared with ZeitOnline/vivi on
GitHub; no index has the package itself.  What happens to content between its events is in
`zeit.cms.workflow.publish`, what its celery does to a task in `test_tasks`.

`zeit` and `zope` are namespaces without an `__init__`, so it takes a path only:

    with cms.importable(cms.CMS):
        xmlconfig.xmlconfig(...)        # <include package="zeit.cms" />

    subprocess.run(..., env=cms.environment(cms.CMS))
"""

import contextlib
import importlib
import os
import pathlib
import sys


_STANDIN = pathlib.Path(__file__).parent / 'standin'

#: Paths to import from, and the modules that are found there.
CMS, APPSETUP = str(_STANDIN / 'cms'), str(_STANDIN / 'appsetup')
_MODULES = {CMS: ('zeit.cms', 'zope.lifecycleevent'), APPSETUP: ('zope.app',)}


@contextlib.contextmanager
def importable(*paths):
    """Inside, what is at `paths` can be imported; afterwards nothing of it is there any more."""
    before = list(sys.path)
    sys.path[:0] = paths
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
        for path in paths:
            for package in _MODULES[path]:
                _forget(package)


def _forget(package):
    for name in [name for name in sys.modules if f'{name}.'.startswith(f'{package}.')]:
        del sys.modules[name]
    parent, _, child = package.rpartition('.')
    with contextlib.suppress(AttributeError, KeyError):
        delattr(sys.modules[parent], child)


def environment(*paths):
    """Return an environment for a process that can import what is at `paths`, and all we can."""
    return os.environ | {'PYTHONPATH': os.pathsep.join([*paths, *filter(None, sys.path)])}
