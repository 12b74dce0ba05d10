"""The tables of mutations for `check-mutations.py`, and the tests that are to notice them."""

#: Quick tests of what is broken here.
QUICK = (
    'test_contract',
    'test_upload',
    'test_filing',
    'test_exporter',
    'test_history',
    'test_journal',
    'test_leftovers.*',
    'test_lock',
    'test_main.*',
    'test_original',
    'test_plan',
    'test_protocol',
    'test_spool',
    'test_values',
    'test_parsing',
)

#: Tests for what survives these: they know most of it.
TELLING = (
    'test_upload_in_place',
    'test_failures',
    'test_group_commit',
    'test_learned',
    'test_name_probe',
    'test_parking',
    'test_patience',
    'test_pipelining',
    'test_powerloss',
    'test_scenarios_exists',
    'test_scenarios_replies',
    'test_schedule',
    r'sftp\.tests\..*',
    'test_throttle',
    'target.tests.test_bandwidth',
    'test_unproven',
    'test_priority',
)

#: For what survives these, too.  Those that start daemons or need minutes stay away.
THOROUGH = (
    'test_connections',
    'test_durability',
    'test_faults_target',
    'test_append_log',
    'test_kill.*',
    'test_ledger',
    'test_lock.*',
    'test_loop',
    'test_logins',
    'test_connecting',
    'test_receipts',
    'test_pool',
    'test_presence',
    'test_runlock',
    'test_sequence',
    'test_scenarios.*',
    'test_unmovable',
)

#: The tables of the heart; the tests above are enough for them.
HEART = ('CONTRACT', 'DELIVERIES', 'LOCKING', 'LOCAL', 'WIRE')

#: Tests for the other tables, in addition.
FURTHER = (
    'browser.tests.test_.*',
    'test_parallel_runs',
    'test_cli_runs',
    'test_holds',
    'test_hooks',
    'check.tests.test_server',
    'check.tests.test_local',
    'test_check',
    'test_configuration',
    'test_import_ahead',
    'test_import_connections',
    'test_import_directories',
    'test_being_written',
    'test_incoming',
    'test_interrupted_import',
    'test_log',
    'test_metrics',
    'test_network',
    'test_outbox.*',
    'test_partners',
    'test_product',
    'test_publish.*',
    'test_resending',
    'test_scope',
    'test_secure',
    'test_status_import',
    'test_take_back',
    'test_celery_task',
    'test_unlock',
    'test_unlocking',
    'test_usable',
    'test_thread',
    'test_told',
    'test_tls_login',
    'test_tls_settings',
    'test_watch',
    'web.tests.test_(access|serve|server|site)',
)
LAYERS = '!(VSFTPD|PROFTPD|PUREFTPD)'
ORIGINAL = 'test_original.test_passes_unmodified'

#: Tables of mutations, by file.
TABLES = {
    'mutations_alarms.py': 'ALARMS',
    'mutations_application.py': 'APPLICATION',
    'mutations_check.py': 'CHECKS',
    'mutations_contract.py': 'CONTRACT',
    'mutations_delivery.py': 'DELIVERIES',
    'mutations_drivers.py': 'DRIVERS',
    'mutations_edge.py': 'EDGE',
    'mutations_import.py': 'IMPORTS',
    'mutations_lock.py': 'LOCKING',
    'mutations_operator.py': 'OPERATOR',
    'mutations_partners.py': 'PARTNERS',
    'mutations_page.py': 'PAGE',
    'mutations_serve.py': 'SERVE',
    'mutations_sftp.py': 'SFTP',
    'mutations_spool.py': 'LOCAL',
    'mutations_wire.py': 'WIRE',
    'mutations_tls.py': 'TLS',
}
