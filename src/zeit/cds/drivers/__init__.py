"""Who calls `run_once` again and again: a thread, a celery task, `zeit-cds watch`.

They know an `IExporter` or `IImporter` by name and its exit code, and nothing of what is inside.
Open the one that you use: `thread`, `celery_task` or `watch`.
"""
