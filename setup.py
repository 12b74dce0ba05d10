import re
from pathlib import Path

from setuptools import find_namespace_packages, setup


HERE = Path(__file__).parent


def long_description():
    texts = [HERE / name for name in ('README.txt', 'CHANGES.txt')]
    return '\n\n'.join(text.read_text('utf-8') for text in texts if text.exists())


def documents():
    """Return README, CHANGES and docs as they are installed: in share/doc, with their folders."""
    found = {}
    there = [HERE / 'README.txt', HERE / 'CHANGES.txt', *sorted((HERE / 'docs').rglob('*'))]
    for path in there:
        if path.is_file():
            path = path.relative_to(HERE)
            found.setdefault(f'share/doc/zeit.cds/{path.parent}', []).append(str(path))
    return [*found.items()]


def version():
    return re.search(r"__version__ = '(.+)'", (HERE / 'src/zeit/cds/__init__.py').read_text())[1]


setup(
    name='zeit.cds',
    version=version(),
    description='Exchange files of a gocept.filestore with a Content Drehscheibe (CDS) FTP server',
    long_description=long_description(),
    long_description_content_type='text/x-rst',
    author='gocept, Zeit Online',
    url='https://github.com/ZeitOnline/zeit.cds',
    license='ZPL-2.1',
    license_files=['LICENSE.txt'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Environment :: Console',
        'Framework :: Zope',
        'Intended Audience :: System Administrators',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3 :: Only',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Programming Language :: Python :: 3.14',
        'Programming Language :: Python :: 3.15',
        'Topic :: Internet :: File Transfer Protocol (FTP)',
    ],
    # `zeit` is a PEP 420 namespace that zeit.cms and others share: it is no package of ours.
    packages=find_namespace_packages(
        where='src', include=['zeit', 'zeit.*'], exclude=['*.__pycache__', '*.egg-info']
    ),
    package_dir={'': 'src'},
    package_data={
        '': ['*.zcml', '*.txt'],
        'zeit.cds.browser': ['*.pt', 'static/*', 'locales/*.pot', 'locales/*/LC_MESSAGES/*'],
    },
    include_package_data=False,
    data_files=[*documents(), ('share/man/man1', ['docs/man/man1/zeit-cds.1'])],
    zip_safe=False,
    python_requires='>=3.11',
    # The lower bounds have been tried, all of them at once, on Python 3.11.
    install_requires=[
        # Before 8.1 it refuses to start where cron sets no locale.
        'click >= 8.1',
        'gocept.filestore',
        # Several connections take turns in one thread.
        'greenlet >= 3',
        'zope.component[zcml] >= 4.6',
        'zope.configuration >= 4.4',
        'zope.event',
        'zope.interface >= 5',
        'zope.schema >= 4.9',
    ],
    extras_require={
        # The status page; the views need a Zope that is there.
        'browser': ['Chameleon >= 4.5', 'zope.i18n >= 4.8'],
        'celery': ['celery[redis] >= 5.2'],
        'demo': ['pyftpdlib >= 2'],
        'metrics': ['prometheus_client >= 0.7'],
        # bcrypt is for keys with a passphrase.
        'sftp': ['asyncssh[bcrypt] >= 2.19'],
        'test': [
            'asyncssh[bcrypt] >= 2.19',
            'Chameleon',
            'celery[redis]',
            'gevent',
            'gocept.pagelet',
            'gunicorn',
            'hypothesis',
            'inotify_simple >= 2',
            'opentelemetry-api',
            'prometheus_client',
            'pyftpdlib >= 2',
            'PyOpenSSL',
            'transaction',
            'trustme',
            'waitress',
            'zope.browserpage',
            'zope.browserresource',
            'zope.i18n',
            'zope.principalregistry',
            'zope.publisher',
            'zope.security',
            'zope.testrunner',
            'zope.viewlet',
        ],
        'transaction': ['transaction >= 3'],
        # `zeit-cds serve`
        'web': ['Chameleon >= 4.5', 'waitress >= 3.0.1', 'zope.i18n >= 4.8'],
        # Where it is missing, `zeit-cds watch` looks into the spool at intervals.
        'watch': ['inotify_simple >= 2'],
    },
    entry_points={
        'console_scripts': [
            'cds-export = zeit.cds.main:cds_export',
            'cds-import = zeit.cds.main:cds_import',
            'zeit-cds = zeit.cds.cli.main:main',
        ],
    },
)
