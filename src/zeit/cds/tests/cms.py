"""The stand-in for zeit.cms: packages that are importable only where a test asks for them.

`standin/cms` has `zeit.cms` and its neighbours, `standin/appsetup` has `zope.app.appsetup`,
`standin/site` has `zope.site`, as far as zeit.cds knows of them, by their exact names.  Those of
zeit.cms were compared with ZeitOnline/vivi on GitHub; no index has the package itself.  What
happens to content between its events is in `zeit.cms.workflow.publish`, what its celery does to a
task in `test_celery_task`.

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
CMS, APPSETUP, SITE = (str(_STANDIN / name) for name in ('cms', 'appsetup', 'site'))
_MODULES = {
    CMS: (
        *('zeit.cms', 'zeit.connector', 'zeit.content', 'zeit.edit', 'zeit.objectlog'),
        *('zeit.workflow', 'zeit.cds.vivi', 'zope.lifecycleevent'),
    ),
    APPSETUP: ('zope.app',),
    SITE: ('zope.site',),
}


@contextlib.contextmanager
def importable(*paths):
    """Inside, what is at `paths` can be imported; afterwards nothing of it is there any more."""
    before, packages = list(sys.path), [each for path in paths for each in _MODULES[path]]
    # zope.browsermenu, for one, makes a module zope.app where there is none.
    known = [found for each in packages for found in _forget(each)]
    sys.path[:0] = paths
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
        for package in packages:
            _forget(package)
        for name, module in known:
            sys.modules[name] = module
            parent, _, child = name.rpartition('.')
            setattr(sys.modules[parent], child, module)


def _forget(package):
    """Let a package not be imported any more; return (name, module) of what was."""
    names = [name for name in sys.modules if f'{name}.'.startswith(f'{package}.')]
    parent, _, child = package.rpartition('.')
    with contextlib.suppress(AttributeError, KeyError):
        delattr(sys.modules[parent], child)
    return [(name, sys.modules.pop(name)) for name in sorted(names)]


def environment(*paths):
    """Return an environment for a process that can import what is at `paths`, and all we can."""
    return os.environ | {'PYTHONPATH': os.pathsep.join([*paths, *filter(None, sys.path)])}
