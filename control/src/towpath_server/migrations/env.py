"""Run a chain on the connection it was given by `migrations/__init__.py`, in its transaction."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=attributes["metadata"],
    compare_type=True,
    transactional_ddl=True,
    user_module_prefix="sa.",
)
context.run_migrations()
